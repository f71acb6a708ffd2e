"""Pairing of two models' predictions, item by item."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation.predictions import Items, Predictions
from tf_micle.system.input_error import InputError
from tf_micle.system.plurals import counted


def check_kind(other: Predictions, items: Items) -> None:
  """Raises an InputError where task, classes or unit are not the same."""
  for name in ("task", "class_names", "unit"):
    expected, received = getattr(items, name), getattr(other, name)
    if expected != received:
      raise InputError(
        f"Expected the other model's {name} to be the same, {expected}. "
        f"Received: {received}."
      )


def aligned(other: Predictions, items: Items) -> Predictions:
  """`other` in the order of `items`.

  Raises:
    InputError: the two are not of the same task, classes, unit, items
      (patient_id and row) and labels.
  """
  check_kind(other, items)

  def keys(table):
    found = list(zip(table.patient_id.tolist(), table.row.tolist()))
    if len(set(found)) < len(found):
      raise InputError(
        "Expected each patient_id and row once. Received: "
        f"{counted(len(found) - len(set(found)), 'repeated item')}."
      )
    return found

  ours, theirs = keys(items), keys(other)
  lacks, more = set(ours) - set(theirs), set(theirs) - set(ours)
  if lacks or more:
    raise InputError(
      "Expected both models' predictions of the same items (patient_id, row). "
      f"Received: {len(lacks)} of {counted(len(ours), 'item')} missing in the "
      f"other, {len(more)} of its {len(theirs)} missing here. Evaluate both on "
      "one split of one data folder."
    )
  position = {key: i for i, key in enumerate(theirs)}
  other = other.take([position[key] for key in ours])
  same = other.labels == items.labels
  if items.task == "multi_label":
    same |= np.isnan(other.labels) & np.isnan(items.labels)
  if not same.all():
    raise InputError(
      "Expected both models' items to have the same labels. Received: "
      f"{counted((~same).sum(), 'label')} apart. Evaluate both on one data "
      "folder."
    )
  return other
