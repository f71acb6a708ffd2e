"""What a reader of an evaluation must know beside its numbers."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import metrics
from tf_micle.evaluation.predictions import (
  Predictions,
  patients_with_several_labels,
)

# Fewer patients than this: a percentile interval tends to be too narrow.
FEW_PATIENTS = 30
# Absent from more resamples than this is worth a sentence.
_OFTEN = 0.01


def of_labels(predictions: Predictions) -> list[str]:
  """Plain sentences on the labels that do not count."""
  labels, unit, notes = predictions.labels, predictions.unit, []
  if predictions.task == "multi_class":
    unknown = int((labels < 0).sum())
    if unknown:
      notes.append(
        f"{unknown} of {len(labels)} {unit} items have no label and are left "
        "out."
      )
  else:
    uncertain, missing = int((labels == -1).sum()), int(np.isnan(labels).sum())
    if uncertain:
      notes.append(
        f"{uncertain} of {labels.size} findings at {unit} level are uncertain "
        "and are left out."
      )
    if missing:
      notes.append(
        f"{missing} of {labels.size} findings at {unit} level are not stated "
        "and are left out."
      )
  several = len(patients_with_several_labels(predictions))
  if several:
    notes.append(
      f"{several} patients have items of several labels, so no label of their "
      "own, and are left out at patient level."
    )
  return notes


def of_level(
  level: str,
  labelled: Predictions,
  values: dict[str, np.ndarray],
  replicates: dict[str, np.ndarray],
) -> list[str]:
  """Plain sentences on the values and intervals of one level.

  Args:
    level: its name, such as "image".
    labelled: its labelled items.
    values: what `metrics.measure` gave.
    replicates: the same of resamples, with a first axis more.
  """
  notes = []
  patients = len(np.unique(labelled.patient_id))
  if patients < 2:
    notes.append(
      f"At {level} level {patients} patients are labelled: intervals are not "
      "defined, as they come from the differences between patients."
    )
  elif patients < FEW_PATIENTS:
    notes.append(
      f"At {level} level only {patients} patients are labelled: intervals are "
      "rough, and rather too narrow."
    )
  notes += _of_classes(level, labelled, values)
  if patients >= 2:
    notes += _of_intervals(level, labelled.class_names, values, replicates)
  return notes


def _of_classes(level, labelled, values):
  """Which classes have no AUROC, AUPRC and sensitivity, and why."""
  absent, only = [], []
  for c, name in enumerate(labelled.class_names):
    if np.isnan(values["auroc"][c]):
      positive = (
        (labelled.labels == c).any()
        if labelled.task == "multi_class"
        else (labelled.labels[:, c] == 1).any()
      )
      (only if positive else absent).append(name)
  return [
    f"At {level} level no labelled item is {what} of these classes: "
    f"{', '.join(names)}. Their AUROC, AUPRC and sensitivity are not defined "
    "and are not in the means."
    for what, names in (("a positive", absent), ("a negative", only))
    if names
  ]


def _of_intervals(level, class_names, values, replicates):
  """Which intervals are missing, partial, or of no width."""
  undefined, constant, partial = [], [], []
  for name, value in values.items():
    per_class = name in metrics.PER_CLASS
    for label, one, samples in zip(
      class_names if per_class else [None],
      np.atleast_1d(value),
      replicates[name].reshape(len(replicates[name]), -1).T,
    ):
      title = f"{name} of {label}" if per_class else name
      missing = np.isnan(samples).mean()
      if np.isnan(one):
        continue
      if missing > 0.5:
        undefined.append(title)
      elif not per_class and np.ptp(samples[~np.isnan(samples)]) == 0:
        constant.append(title)
      if name == "auroc" and missing > _OFTEN:
        partial.append(f"{label} ({missing:.0%})")
  notes = []
  if undefined:
    notes.append(
      f"At {level} level fewer than half of the resamples define "
      f"{', '.join(undefined)}: no interval is given."
    )
  if partial:
    notes.append(
      f"At {level} level some resamples hold no positives or no negatives of "
      f"{', '.join(partial)}; intervals of the means are over the classes that "
      "each resample has."
    )
  if constant:
    notes.append(
      f"At {level} level every resample gives the same {', '.join(constant)}: "
      "an interval of no width shows the limit of the bootstrap, not certainty."
    )
  return notes
