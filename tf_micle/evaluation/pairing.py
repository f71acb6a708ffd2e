"""Two models' predictions of the same items, item by item."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation.predictions import Predictions


def aligned(other: Predictions, predictions: Predictions) -> Predictions:
  """`other` in the order of `predictions`.

  Raises:
    ValueError: the two are not of the same task, classes, unit, items
      (patient_id and row) and labels.
  """
  for name in ("task", "class_names", "unit"):
    expected, received = getattr(predictions, name), getattr(other, name)
    if expected != received:
      raise ValueError(
        f"Expected the other model's {name} to be the same, {expected}. "
        f"Received: {received}."
      )

  def keys(table):
    found = list(zip(table.patient_id.tolist(), table.row.tolist()))
    if len(set(found)) < len(found):
      raise ValueError(
        "Expected each patient_id and row once. Received: "
        f"{len(found) - len(set(found))} repeated items."
      )
    return found

  ours, theirs = keys(predictions), keys(other)
  if set(ours) != set(theirs):
    raise ValueError(
      "Expected both models' predictions of the same items (patient_id, row). "
      f"Received: {len(set(ours) - set(theirs))} of {len(ours)} items missing "
      f"in the other, {len(set(theirs) - set(ours))} of its {len(theirs)} "
      "missing here. Evaluate both on one split of one data folder."
    )
  position = {key: i for i, key in enumerate(theirs)}
  other = other.take([position[key] for key in ours])
  same = other.labels == predictions.labels
  if predictions.task == "multi_label":
    same |= np.isnan(other.labels) & np.isnan(predictions.labels)
  if not same.all():
    raise ValueError(
      "Expected both models' items to have the same labels. Received: "
      f"{(~same).sum()} labels that differ. Evaluate both on the same data."
    )
  return other
