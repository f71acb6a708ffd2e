"""An evaluation: metrics with intervals, at item and at patient level."""

from __future__ import annotations

import json
import os

import numpy as np

from tf_micle.evaluation import bootstrap, evaluation_notes, metrics, pairing
from tf_micle.evaluation.predictions import Predictions, by_patient
from tf_micle.evaluation.predictions_csv import read_csv, write_csv
from tf_micle.system.written_whole import write_json

LEVEL = 0.95
MOST_GROUPS = 20
_METRICS, _PREDICTIONS = "metrics.json", "predictions.csv"


def evaluate(
  predictions: Predictions,
  *,
  specificity: float = 0.9,
  samples: int = 1000,
  seed: int = 0,
  other: Predictions | None = None,
  show_progress: bool = False,
) -> dict:
  """All metrics of a model's predictions, with 95% intervals over patients.

  Args:
    predictions: of one model on one split.
    specificity: in [0, 1], at which sensitivity is read.
    samples: resamples of the bootstrap.
    seed: of the bootstrap.
    other: another model's predictions of the same items, in any order; the
      difference, this minus other, comes from the same resamples of both.
    show_progress: bars on stderr.

  Returns:
    What metrics.json holds; strict JSON, None where something is not defined:
    task, class_names, unit, specificity, bootstrap, notes; the levels, under
    the unit's name and "patient", with counts, scalars of `metrics.measure` as
    {"value", "low", "high"} and auroc, auprc, sensitivity by class; "groups",
    the scalars by metadata column and value; "difference" with `other`.

  Raises:
    ValueError: an argument out of range, no labelled item, or `other` is of
      other items, labels or classes.
  """
  if not 0 <= specificity <= 1:
    raise ValueError(
      f"Expected a specificity of 0 to 1. Received: {specificity}."
    )
  other = check(predictions, other)

  def run(part, name):
    return _measured(part, specificity, samples, seed, show_progress, name)

  result = {
    "task": predictions.task,
    "class_names": list(predictions.class_names),
    "unit": predictions.unit,
    "specificity": specificity,
    "bootstrap": {
      "samples": samples,
      "level": LEVEL,
      "seed": seed,
      "over": "patients",
    },
  }
  notes = evaluation_notes.of_labels(predictions)
  difference = {}
  for level in dict.fromkeys((predictions.unit, "patient")):
    # A patient's item is the patient itself: the two levels are one then.
    same = predictions.unit == "patient"
    items = predictions if same else _at(level, predictions)
    measured = run(items, level)
    result[level] = _counts(items) | _entries(measured, items.class_names)
    labelled = items.take(_is_labelled(items))
    notes += evaluation_notes.of_level(level, labelled, *measured)
    if other is not None:
      rival = run(other if same else _at(level, other), f"{level}, other")
      difference[level] = _entries(
        [_minus(a, b) for a, b in zip(measured, rival)], items.class_names
      )
  if other is not None:
    result["difference"] = difference
  result["groups"], skipped = _groups(predictions, run)
  notes += skipped
  result["notes"] = notes
  return result


def check(
  predictions: Predictions, other: Predictions | None = None
) -> Predictions | None:
  """`other` in the order of `predictions`, where both can be evaluated.

  Raises:
    ValueError: no labelled item, or `other` is of other items, labels or
      classes.
  """
  if not _is_labelled(predictions).any():
    raise ValueError(
      "Expected at least one labelled item. Received: "
      f"{len(predictions)} items without labels. Evaluate a labelled split."
    )
  return None if other is None else pairing.aligned(other, predictions)


def point_values(
  labels: np.ndarray, probabilities: np.ndarray, *, specificity: float = 0.9
) -> dict[str, float]:
  """The scalars of `metrics.measure` without intervals, for use in training.

  Labels and probabilities as there. What is not defined is left out.
  """
  found = metrics.measure(labels, probabilities, specificity=specificity)
  return {
    name: float(value)
    for name, value in found.items()
    if name not in metrics.PER_CLASS and not np.isnan(value)
  }


def _at(level, predictions):
  return by_patient(predictions) if level == "patient" else predictions


def _is_labelled(predictions):
  """(n,) bool: a known label, or any finding that is present or absent."""
  if predictions.task == "multi_class":
    return predictions.labels >= 0
  return np.isin(predictions.labels, (0, 1)).any(axis=1)


def _measured(predictions, specificity, samples, seed, show_progress, name):
  """(point values, replicates), each a dict of arrays."""
  # Only patients that count are resampled.
  items = predictions.take(_is_labelled(predictions))

  def measure(weights=None):
    return metrics.measure(
      items.labels,
      items.probabilities,
      specificity=specificity,
      weights=weights,
    )

  return measure(), bootstrap.replicates(
    measure,
    items.patient_id,
    samples=samples,
    seed=seed,
    show_progress=show_progress,
    description=f"bootstrap, {name}",
  )


def _groups(predictions, run):
  """({column: {value: counts and scalars}}, notes on columns left out)."""
  found, notes = {}, []
  for column, values in predictions.metadata.items():
    groups = np.unique(values).tolist()
    if len(groups) > MOST_GROUPS:
      notes.append(
        f"Metadata column {column!r} has {len(groups)} values; groups are "
        f"shown for columns of at most {MOST_GROUPS}."
      )
      continue
    found[column] = {}
    for group in groups:
      items = predictions.take(values == group)
      scalars = [
        {k: v for k, v in one.items() if k not in metrics.PER_CLASS}
        for one in run(items, f"{column}={group}")
      ]
      counts = _counts(items)
      del counts["positives"]
      found[column][group or "(not stated)"] = counts | _entries(
        scalars, items.class_names
      )
  return found, notes


def _minus(these, others):
  return {name: these[name] - others[name] for name in these}


def _counts(predictions):
  labels = predictions.labels
  if predictions.task == "multi_class":
    positives = np.bincount(
      labels[labels >= 0], minlength=len(predictions.class_names)
    )
  else:
    positives = (labels == 1).sum(axis=0)
  return {
    "items": len(predictions),
    "labelled": int(_is_labelled(predictions).sum()),
    "patients": len(np.unique(predictions.patient_id)),
    "positives": dict(zip(predictions.class_names, positives.tolist())),
  }


def _entries(measured, class_names):
  """{"value", "low", "high"} of each metric, by class where it is per class."""
  values, samples = measured
  found = {}
  for name, value in values.items():
    low, high = bootstrap.interval(samples[name], LEVEL)
    if name in metrics.PER_CLASS:
      found[name] = {
        label: _entry(*three)
        for label, *three in zip(class_names, value, low, high)
      }
    else:
      found[name] = _entry(value, low, high)
  return found


def _entry(value, low, high):
  """JSON has no NaN."""
  three = {"value": value, "low": low, "high": high}
  return {k: None if np.isnan(v) else float(v) for k, v in three.items()}


def save(
  result: dict, predictions: Predictions, folder: str | os.PathLike
) -> None:
  """Writes predictions.csv, then metrics.json: where this is, all is whole."""
  os.makedirs(folder, exist_ok=True)
  summary_path = os.path.join(folder, _METRICS)
  # An older one would speak of predictions that are no longer there.
  if os.path.exists(summary_path):
    os.remove(summary_path)
  write_csv(predictions, os.path.join(folder, _PREDICTIONS))
  write_json(summary_path, result)


def load(folder: str | os.PathLike) -> tuple[dict, Predictions]:
  """What `save` wrote.

  Raises:
    ValueError: the folder does not hold a whole evaluation.
  """
  folder = os.fspath(folder)
  try:
    with open(os.path.join(folder, _METRICS), encoding="utf-8") as file:
      result = json.load(file)
    table = {k: result[k] for k in ("task", "class_names", "unit")}
    items = result[table["unit"]]["items"]
    predictions = read_csv(os.path.join(folder, _PREDICTIONS), **table)
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f"Expected the folder of an evaluation, with {_METRICS} and "
      f"{_PREDICTIONS} as --mode=eval writes them. Received: {folder}, "
      f"{type(error).__name__}: {error}"
    ) from error
  if len(predictions) != items:
    raise ValueError(
      f"Expected {items} items, as {_METRICS} says. Received: "
      f"{len(predictions)} in {os.path.join(folder, _PREDICTIONS)}. One of the "
      "two is from another evaluation: run --mode=eval again."
    )
  return result, predictions


def provenance_of(folder: str | os.PathLike) -> dict:
  """Where an earlier evaluation in a folder comes from; {} where none is."""
  try:
    with open(os.path.join(folder, _METRICS), encoding="utf-8") as file:
      return json.load(file)["provenance"]
  except (OSError, ValueError, KeyError):
    return {}


def summary(result: dict) -> str:
  """A plain table for the terminal: level, metric, value, interval."""
  lines = [f"{'level':<16}{'metric':<20}{'value':>8}  95% interval"]
  levels = {name: result[name] for name in (result["unit"], "patient")}
  for level, found in (result.get("difference") or {}).items():
    levels[f"{level}, diff."] = found
  for level, found in levels.items():
    for name, entry in found.items():
      if isinstance(entry, dict) and "value" in entry:
        value, low, high = (
          "-" if entry[k] is None else f"{entry[k]:.3f}"
          for k in ("value", "low", "high")
        )
        lines.append(f"{level:<16}{name:<20}{value:>8}  {low} to {high}")
  return "\n".join(lines)
