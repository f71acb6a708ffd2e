"""Evaluation: metrics with intervals, at item and at patient level."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import (
  bootstrap,
  evaluation_notes,
  intervals,
  metrics,
  pairing,
)
from tf_micle.evaluation.predictions import Items, Predictions, at_level
from tf_micle.system.input_error import InputError
from tf_micle.system.plurals import counted

MOST_GROUPS = 20


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
    other: another model's predictions of the same items, as `check` returns
      them; the difference, this minus other, comes from the same resamples of
      both.
    show_progress: bars on stderr.

  Returns:
    What metrics.json holds; strict JSON, None where something is not defined:
    task, class_names, unit, specificity, bootstrap, notes; the levels, under
    the unit's name and "patient", with counts, scalars of `metrics.measure` as
    `intervals.of` has them and auroc, auprc, sensitivity by class; "groups",
    the scalars by metadata column and value; "difference" with `other`.

  Raises:
    ValueError: an argument out of range.
  """
  if not 0 <= specificity <= 1:
    raise ValueError(
      f"Expected a specificity of 0 to 1. Received: {specificity}."
    )

  def run(part, name):
    return _measured(part, specificity, samples, seed, show_progress, name)

  result = {
    "task": predictions.task,
    "class_names": list(predictions.class_names),
    "unit": predictions.unit,
    "specificity": specificity,
    "bootstrap": {
      "samples": samples,
      "level": intervals.LEVEL,
      "seed": seed,
      "over": "patients",
    },
  }
  notes = evaluation_notes.of_labels(predictions)
  difference = {}
  for level in dict.fromkeys((predictions.unit, "patient")):
    items = at_level(level, predictions)
    labelled, *measured = run(items, level)
    found = _with_intervals(labelled, measured)
    result[level] = _counts(items) | found
    notes += evaluation_notes.of_level(
      level, labelled, found, auroc_replicates=measured[1]["auroc"]
    )
    if other is not None:
      _, *rival = run(at_level(level, other), f"{level}, other")
      minus = [_minus(a, b) for a, b in zip(measured, rival)]
      difference[level] = intervals.of(*minus, items.class_names)
  if other is not None:
    result["difference"] = difference
  result["groups"], skipped = _groups(predictions, run)
  notes += skipped
  result["notes"] = notes
  return result


def check(items: Items, other: Predictions | None = None) -> Predictions | None:
  """`other` in the order of `items`, where both can be evaluated.

  Raises:
    InputError: no labelled item, or `other` is of other items, labels or
      classes.
  """
  if not items.stated.any():
    raise InputError(
      "Expected at least one labelled item. Received: "
      f"{counted(len(items), 'item')}, none with a label. Evaluate a "
      "labelled split."
    )
  return None if other is None else pairing.aligned(other, items)


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


def _measured(predictions, specificity, samples, seed, show_progress, name):
  """(labelled items, point values, replicates): dicts of arrays."""
  # Only patients that count are resampled.
  items = predictions.take(predictions.stated.any(axis=1))

  def measure(weights=None):
    return metrics.measure(
      items.labels,
      items.probabilities,
      specificity=specificity,
      weights=weights,
    )

  replicates = bootstrap.replicates(
    measure,
    items.patient_id,
    samples=samples,
    seed=seed,
    show_progress=show_progress,
    description=f"bootstrap, {name}",
  )
  return items, measure(), replicates


def _with_intervals(labelled, measured):
  patients = intervals.patients_behind(labelled)
  return intervals.of(*measured, labelled.class_names, patients)


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
      labelled, *measured = run(items, f"{column}={group}")
      scalars = [
        {k: v for k, v in one.items() if k not in metrics.PER_CLASS}
        for one in measured
      ]
      counts = _counts(items)
      del counts["positives"]
      found[column][group or "(not stated)"] = counts | _with_intervals(
        labelled, scalars
      )
  return found, notes


def _minus(these, others):
  return {name: these[name] - others[name] for name in these}


def _counts(predictions):
  positives = predictions.positive.sum(axis=0).tolist()
  return {
    "items": len(predictions),
    "labelled": int(predictions.stated.any(axis=1).sum()),
    "patients": len(np.unique(predictions.patient_id)),
    "positives": dict(zip(predictions.class_names, positives)),
  }
