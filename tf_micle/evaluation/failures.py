"""Failures: what a model got most wrong, with the images of the patient."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Picture:
  """An image of a patient of whom something was got wrong.

  Attributes:
    image: uint8 (h, w, 3).
    row: manifest row.
    failed: whether it is the item that was got wrong, or of that bag.
    given: what the model gave, in [0, 1], to what is true of the item that it
      is of; NaN where that is not known.
    right: whether the model told what is true.
    weight: in its bag, in [0, 1]; None without bags.
    heat: float32 (h', w') of `grad_cam`, or None.
  """

  image: np.ndarray
  row: str
  failed: bool
  given: float
  right: bool
  weight: float | None = None
  heat: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Failure:
  """An item that the model got wrong.

  Attributes:
    patient_id: the patient's pseudonym.
    truth: what is true, such as a class name.
    told: what the model said.
    given: what the model gave to the truth, in [0, 1].
    pictures: `Picture`s of the patient, those of the item first.
    left_out: further images of the patient.
  """

  patient_id: str
  truth: str
  told: str
  given: float
  pictures: Sequence[Picture]
  left_out: int = 0


@dataclasses.dataclass(frozen=True)
class Failures:
  """The most wrong items.

  Attributes:
    cases: class by class.
    wrong: the number of items that were got wrong, of which these are some.
    check: of their heat maps, `heat_map_check.similarity`; None without.
  """

  cases: Sequence[Failure] = ()
  wrong: int = 0
  check: dict | None = None


def most_wrong(predictions, count):
  """Returns the items whose known label the model finds least likely.

  Args:
    predictions: `Predictions`.
    count: how many, at most.

  Returns:
    A list of (item, class, probability of what is true), class by class, in
    each the most wrong first; only such items whose label is not the one that
    the model favours. Classes have equally many where they can, and a patient
    is there once a class.
  """
  given, right = judged(predictions)
  classes = predictions.labels
  if predictions.task == "multi_label":
    classes = np.where(np.isnan(given), 1, given).argmin(axis=1)
  every = np.arange(len(predictions))
  given, right = given[every, classes], right[every, classes]
  wrong = np.flatnonzero(~np.isnan(given) & ~right)
  ranked, ranks, seen = [], collections.Counter(), set()
  for item in wrong[np.argsort(given[wrong], kind="stable")].tolist():
    c = int(classes[item])
    patient = predictions.patient_id[item], c
    if patient not in seen:
      ranked.append((ranks[c], item, c, float(given[item])))
      ranks[c] += 1
      seen.add(patient)
  # The worst of each class before the second worst of any.
  chosen = sorted(ranked, key=lambda one: one[0])[:count]
  return sorted((one[1:] for one in chosen), key=lambda one: one[1:])


def judged(predictions):
  """Returns what each item's truth was given, and whether it was told.

  float and bool (n, C); NaN where the truth is not known. Of one label all C
  are the same.
  """
  found, positive = predictions.probabilities, predictions.positive
  if predictions.task == "multi_class":
    own = np.where(positive, found, 0).sum(axis=1)
    right = found.argmax(axis=1) == predictions.labels
    given, right = (np.stack([x] * found.shape[1], 1) for x in (own, right))
  else:
    given = np.where(positive, found, 1 - found)
    right = given >= 0.5
  return np.where(predictions.stated, given, np.nan), right
