"""Tables of a report: names, and numbers as text."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import intervals
from tf_micle.report.blocks import Cell

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
    "let go, by a threshold read off this very split, which flatters.",
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


def measured(
  entry: dict | None, *, signed: bool = False, bar: bool = False
) -> Cell:
  """A value with its interval.

  Args:
    entry: {"value", "low", "high"}, each a float or None; see `intervals.of`.
    signed: whether to write a plus, as for differences.
    bar: whether to draw it, on a bar from 0 to 1.
  """
  entry = entry or dict.fromkeys(("value", "low", "high"))
  value, low, high = (entry[key] for key in ("value", "low", "high"))
  if value is None:
    return Cell(UNDEFINED, undefined=True)
  known = low is not None and high is not None
  detail, ends = "no interval", ("", "", "")
  if known:
    texts = [number(end, signed=signed) for end in (low, high)]
    detail = " to ".join(texts) + ", exact" * ("method" in entry)
    ends = (*texts, entry.get("method", "bootstrap"))
  low, high = (low, high) if known else (value, value)
  places = {"low": low, "width": high - low, "value": value}
  return Cell(
    number(value, signed=signed),
    detail,
    ends=ends,
    no_width=intervals.has_no_width(entry),
    bar={k: round(100 * v, 1) for k, v in places.items()} if bar else None,
  )


def part_of(part: int, whole: int) -> Cell:
  """A count of a count."""
  return Cell(f"{part:,}", f"of {whole:,}")


def verdict(entry: dict, *, lower_is_better: bool) -> str:
  """What the interval of a difference lets one say."""
  low, high = entry["low"], entry["high"]
  if entry["value"] is None or low is None or high is None:
    return "no interval"
  if low <= 0 <= high:
    return "interval includes 0"
  better = (high < 0) == lower_is_better
  return f"{'better' if better else 'worse'}: interval excludes 0"


def shade(share: float) -> str:
  """A CSS colour from white (0) to dark blue (1), and one to write on it."""
  share = float(np.clip(share, 0, 1))
  white, blue = np.array([255, 255, 255]), np.array([8, 81, 156])
  red, green, blue = (white + (blue - white) * share).astype(int)
  ink = "#fff" if share > 0.55 else "#1c2126"
  return f"background:rgb({red},{green},{blue});color:{ink}"
