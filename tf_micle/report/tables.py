"""Tables of a report: names, and numbers as text."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import intervals
from tf_micle.evaluation.evaluation_notes import FEW_PATIENTS

UNDEFINED = "not defined"
# The scalars in the order of the tables: name, meaning, is lower better.
_EITHER = {
  "mean_auroc": (
    "Mean AUROC",
    "The chance that a positive item gets a higher probability than a negative "
    "one. Guessing gives 0.5.",
    False,
  ),
  "mean_auprc": (
    "Mean AUPRC",
    "Average precision (PPV) over all sensitivities. Guessing gives the "
    "prevalence.",
    False,
  ),
}
_BY_TASK = {
  "multi_class": {
    "top1": (
      "Top-1 accuracy",
      "The class with the highest probability is the true one.",
      False,
    ),
    "top3": (
      "Top-3 accuracy",
      "The true class is among the three most probable.",
      False,
    ),
    "balanced_accuracy": (
      "Balanced accuracy",
      "The share of each class that is recognised, averaged over classes.",
      False,
    ),
  },
  "multi_label": {
    "balanced_accuracy": (
      "Balanced accuracy",
      "The mean of sensitivity and specificity at a probability of 0.5, "
      "averaged over findings.",
      False,
    ),
  },
}
_BRIER = {
  "multi_class": "The squared error of the probabilities, 0 to 2.",
  "multi_label": "The squared error of the probabilities, 0 to 1.",
}


def scalars(result: dict) -> dict[str, tuple[str, str, bool]]:
  """Metric -> (name, what it means, whether lower is better), in order."""
  task = result["task"]
  sensitivity = (
    f"Mean sensitivity at {percent(result['specificity'])} specificity",
    "The share of positives found where at least that share of negatives is "
    "let go.",
    False,
  )
  error = (
    "Calibration error (ECE)",
    "How far stated probabilities are from what is observed, on average.",
    True,
  )
  found = dict(_EITHER, mean_sensitivity=sensitivity)
  found = {**_BY_TASK[task], **found}
  found["brier"] = ("Brier score", _BRIER[task], True)
  found["ece"] = error
  return found


def number(value: float | None, *, signed: bool = False) -> str:
  """Three digits after the point; None is "not defined", never 0."""
  if value is None:
    return UNDEFINED
  text = f"{value:+.3f}" if signed else f"{value:.3f}"
  return text.replace("-", "−")


def percent(share: float) -> str:
  """0.9 -> "90%", 0.975 -> "97.5%"."""
  return f"{100 * share:.4g}%"


def measured(entry: dict | None, *, signed: bool = False) -> dict:
  """A value with its interval as texts, and as places on a bar from 0 to 1.

  Args:
    entry: {"value", "low", "high"}, each a float or None; see `intervals.of`.
    signed: whether to write a plus, as for differences.

  Returns:
    {"value", "interval", "no_width", "bar"}: texts ("" where there is no
    interval), whether its resamples agree, and {"low", "width", "value"} in
    percent, or None.
  """
  entry = entry or dict.fromkeys(("value", "low", "high"))
  value, low, high = (entry[key] for key in ("value", "low", "high"))
  found = {
    "value": number(value, signed=signed),
    "interval": "",
    "no_width": intervals.has_no_width(entry),
    "bar": None,
  }
  if value is None:
    return found
  known = low is not None and high is not None
  if known:
    ends = (number(end, signed=signed) for end in (low, high))
    method = f", {entry['method']}" if "method" in entry else ""
    found["interval"] = " to ".join(ends) + method
  else:
    found["interval"] = "no interval"
  low, high = (low, high) if known else (value, value)
  places = (low, high - low, value)
  found["bar"] = {
    key: round(100 * place, 1)
    for key, place in zip(("low", "width", "value"), places)
  }
  return found


def headline(result: dict, levels: list[str]) -> list[dict]:
  """A row a metric: its name, meaning, and value at each level."""
  return [
    {
      "name": name,
      "meaning": meaning,
      "lower_is_better": lower,
      "cells": [measured(result[level].get(key)) for level in levels],
    }
    for key, (name, meaning, lower) in scalars(result).items()
    if any(key in result[level] for level in levels)
  ]


def classes(result: dict, level: str, known: np.ndarray) -> list[dict]:
  """A row a class at one level.

  Args:
    result: of `evaluate.evaluate`.
    level: its name.
    known: (C,) how many items have a known label of each class.
  """
  part = result[level]
  return [
    {
      "name": name,
      "positives": part["positives"][name],
      "known": int(count),
      "cells": [
        measured(part[key][name]) for key in ("auroc", "auprc", "sensitivity")
      ],
    }
    for name, count in zip(result["class_names"], known)
  ]


def groups(result: dict) -> list[dict]:
  """A table a metadata column: {"column", "metrics", "rows"}."""
  shown = {
    "multi_class": ("top1", "balanced_accuracy", "mean_auroc"),
    "multi_label": ("mean_auroc", "mean_auprc", "mean_sensitivity"),
  }[result["task"]]
  names = scalars(result)
  return [
    {
      "column": column,
      "metrics": [names[key][0] for key in shown],
      "rows": [
        {
          "name": value,
          "items": group["items"],
          "patients": group["patients"],
          "few": group["patients"] < FEW_PATIENTS,
          "cells": [measured(group.get(key)) for key in shown],
        }
        for value, group in values.items()
      ],
    }
    for column, values in (result.get("groups") or {}).items()
  ]


def verdict(entry: dict, *, lower_is_better: bool) -> str:
  """What the interval of a difference lets one say."""
  low, high = entry["low"], entry["high"]
  if entry["value"] is None or low is None or high is None:
    return "no interval"
  if low <= 0 <= high:
    return "interval includes 0"
  better = (high < 0) == lower_is_better
  return f"{'better' if better else 'worse'}: interval excludes 0"


def difference(result: dict, level: str) -> list[dict]:
  """A row a metric, and one a class for AUROC: this model minus the other."""
  part = result["difference"][level]

  def row(name, entry, lower, of_class=False):
    said = verdict(entry, lower_is_better=lower)
    return {
      "name": name,
      "of_class": of_class,
      "cell": measured(entry, signed=True),
      "verdict": said,
      "kind": said.split(":")[0] if ":" in said else "open",
    }

  rows = [
    row(name, part[key], lower)
    for key, (name, _, lower) in scalars(result).items()
    if key in part
  ]
  return rows + [
    row(name, part["auroc"][name], False, of_class=True)
    for name in result["class_names"]
    if name in part.get("auroc", {})
  ]


def shade(share: float) -> str:
  """A CSS colour from white (0) to dark blue (1), and one to write on it."""
  share = float(np.clip(share, 0, 1))
  white, blue = np.array([255, 255, 255]), np.array([8, 81, 156])
  red, green, blue = (white + (blue - white) * share).astype(int)
  ink = "#fff" if share > 0.55 else "#1c2126"
  return f"background:rgb({red},{green},{blue});color:{ink}"


def confusion(counts: np.ndarray) -> list[list[dict]]:
  """(rows, columns) counts -> cells with the share of their row as a colour."""
  total = counts.sum(axis=1, keepdims=True)
  shares = counts / np.maximum(total, 1)
  return [
    [
      {"count": int(count), "share": percent(round(share, 3)), "style": style}
      for count, share, style in zip(line, of_row, map(shade, of_row))
    ]
    for line, of_row in zip(counts, shares)
  ]
