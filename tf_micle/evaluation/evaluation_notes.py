"""Notes on an evaluation: what a reader must know beside its numbers."""

from __future__ import annotations

import re

import numpy as np

from tf_micle.evaluation import metrics
from tf_micle.evaluation.predictions import (
  Predictions,
  patients_with_several_labels,
)
from tf_micle.system.plurals import counted

# Fewer patients than this: a percentile interval tends to be too narrow.
FEW_PATIENTS = 30
# Absent from more resamples than this is worth a sentence.
_OFTEN = 0.01
_AT_LEVEL = re.compile(r"At (\w+) level ")


def of_labels(predictions: Predictions) -> list[str]:
  """Plain sentences on the labels that do not count."""
  labels, unit = predictions.labels, predictions.unit
  if predictions.task == "multi_class":
    of = counted(len(labels), unit)
    left_out = {"Without a label": (labels < 0).sum()}
  else:
    of = f"{counted(labels.size, 'finding')} at {unit} level"
    left_out = {
      "Uncertain": (labels == -1).sum(),
      "Not stated": np.isnan(labels).sum(),
    }
  notes = [
    f"{why}, and left out: {count:,} of {of}."
    for why, count in left_out.items()
    if count
  ]
  several = len(patients_with_several_labels(predictions))
  if several:
    notes.append(
      "With items of several labels, so no label of their own, and left out at "
      f"patient level: {counted(several, 'patient')}."
    )
  return notes


def of_level(
  level: str,
  labelled: Predictions,
  found: dict,
  *,
  auroc_replicates: np.ndarray,
) -> list[str]:
  """Plain sentences on the values and intervals of one level.

  Args:
    level: its name, such as "image".
    labelled: its labelled items.
    found: what `intervals.of` gave for them.
    auroc_replicates: (resamples, C), NaN where not defined.
  """
  notes = []
  patients = len(np.unique(labelled.patient_id))
  counts = counted(patients, "patient", "is")
  if patients < 2:
    notes.append(
      f"At {level} level {counts} labelled: intervals by resampling are not "
      "defined, as they come from the differences between patients."
    )
  elif patients < FEW_PATIENTS:
    notes.append(
      f"At {level} level only {counts} labelled: intervals are rough, and "
      "rather too narrow."
    )
  notes += _of_classes(level, labelled, found["auroc"])
  if patients >= 2:
    missing = np.isnan(auroc_replicates).mean(axis=0)
    notes += _of_intervals(level, found, missing)
  return notes


def once(notes: list[str]) -> list[str]:
  """The notes, one that is the same at both levels told once."""
  levels: dict[str, list[str]] = {}
  for note in notes:
    level = _AT_LEVEL.match(note)
    key = note[level.end() :] if level else note
    levels.setdefault(key, []).extend(level.groups() if level else ())
  return [
    f"At {' and '.join(dict.fromkeys(of))} level {key}" if of else key
    for key, of in levels.items()
  ]


def _of_classes(level, labelled, auroc):
  """Which classes have no AUROC, AUPRC and sensitivity, and why."""
  absent, only = [], []
  for name, has in zip(labelled.class_names, labelled.positive.T):
    if auroc[name]["value"] is None:
      (only if has.any() else absent).append(name)
  return [
    f"At {level} level no labelled item is {what} of "
    f"{'this class' if len(names) == 1 else 'these classes'}: "
    f"{', '.join(names)}. AUROC, AUPRC and sensitivity are not defined there "
    "and not in the means."
    for what, names in (("a positive", absent), ("a negative", only))
    if names
  ]


def _of_intervals(level, found, missing):
  """Which intervals are not given, or over fewer resamples."""
  titled = {k: v for k, v in found.items() if k not in metrics.PER_CLASS}
  for name in metrics.PER_CLASS:
    titled |= {f"{name} of {label}": v for label, v in found[name].items()}
  undefined = [
    title
    for title, entry in titled.items()
    if entry["value"] is not None and entry["low"] is None
  ]
  partial = [
    f"{label} ({share:.0%})"
    for (label, entry), share in zip(found["auroc"].items(), missing)
    if entry["value"] is not None and share > _OFTEN
  ]
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
  return notes
