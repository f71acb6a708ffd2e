"""Evaluation: metrics with intervals, at item and at patient level."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import (
  bootstrap,
  calibration,
  decisions,
  evaluation_notes,
  intervals,
  metrics,
  pairing,
  resampled_metrics,
  subgroups,
)
from tf_micle.evaluation.operating_points import OperatingPoints
from tf_micle.evaluation.predictions import Items, Predictions, at_level
from tf_micle.system.input_error import InputError
from tf_micle.system.plurals import counted

MOST_GROUPS = 20
_UNSTATED = "(not stated)"


def evaluate(
  predictions: Predictions,
  *,
  specificity: float = 0.9,
  samples: int = 1000,
  seed: int = 0,
  other: Predictions | None = None,
  paired: bool = True,
  points: OperatingPoints | None = None,
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
    paired: whether `other` is of the same items. Else it is of another data
      set, whose patients are resampled apart.
    points: thresholds that are fixed already, for the rates at these.
    show_progress: bars on stderr.

  Returns:
    What metrics.json holds; strict JSON, None where something is not defined:
    task, class_names, unit, specificity, bootstrap, notes; the levels, under
    the unit's name and "patient", with counts, scalars of `metrics.measure` as
    `intervals.of` has them, auroc, auprc, sensitivity by class, "calibration"
    as `calibration.measured` has it, and with `points` "decisions" as
    `decisions.measured` has them; "groups", by metadata column and value the
    scalars of the items, and "by_patient" as `subgroups.measured` has it;
    "difference" with `other`; "operating_points", what `points` holds.

  Raises:
    ValueError: an argument out of range.
  """
  if not 0 <= specificity <= 1:
    raise ValueError(
      f"Expected a specificity of 0 to 1. Received: {specificity}."
    )

  def run(part, name, seed=seed):
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
  if points is not None:
    result["operating_points"] = points.content()
  notes = evaluation_notes.of_labels(predictions)
  difference = {}
  for level in dict.fromkeys((predictions.unit, "patient")):
    items = at_level(level, predictions)
    labelled, *measured = run(items, level)
    found = _with_intervals(labelled, measured)
    result[level] = _counts(items) | found
    result[level]["calibration"] = calibration.measured(
      items, samples=samples, seed=seed
    )
    if points is not None:
      result[level]["decisions"] = decisions.measured(
        items, points.at(level), samples=samples, seed=seed
      )
    notes += evaluation_notes.of_level(
      level, labelled, found, auroc_replicates=measured[1]["auroc"]
    )
    if other is not None:
      # Apart: patients of two sites are drawn by other numbers.
      own_seed = seed if paired else seed + 1
      _, *rival = run(at_level(level, other), f"{level}, other", own_seed)
      minus = [_minus(a, b) for a, b in zip(measured, rival)]
      difference[level] = intervals.of(*minus, items.class_names)
  if other is not None:
    result["difference"] = difference
    result["paired"] = paired
  result["groups"], skipped = _groups(predictions, run)
  drawn = {"samples": samples, "seed": seed}
  _add_patients(result["groups"], predictions, points, drawn)
  notes += skipped
  result["notes"] = evaluation_notes.once(notes)
  return result


def check(
  items: Items, other: Predictions | None = None, *, paired: bool = True
) -> Predictions | None:
  """`other`, in the order of `items` if paired, where both can be evaluated.

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
  if other is None:
    return None
  if not paired:
    pairing.check_kind(other, items)
    return other
  return pairing.aligned(other, items)


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
  measured = items.labels, items.probabilities
  replicates = bootstrap.replicates(
    resampled_metrics.of_weights(*measured, specificity=specificity),
    items.patient_id,
    samples=samples,
    seed=seed,
    show_progress=show_progress,
    description=f"bootstrap, {name}",
  )
  values = metrics.measure(*measured, specificity=specificity)
  return items, values, replicates


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
      found[column][group or _UNSTATED] = counts | _with_intervals(
        labelled, scalars
      )
  return found, notes


def _add_patients(groups, predictions, points, drawn):
  """Adds "by_patient" to each group, and groups that only patients have."""
  patients = at_level("patient", predictions)
  thresholds = None if points is None else points.at("patient")
  for column, values in groups.items():
    own = patients.metadata[column]
    own = np.where(own == "", _UNSTATED, own)
    for value in np.unique(own).tolist():
      values.setdefault(value, {})["by_patient"] = subgroups.measured(
        patients, own == value, thresholds, **drawn
      )


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
