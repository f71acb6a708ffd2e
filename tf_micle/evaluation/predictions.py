"""Predictions: labels and probabilities, item by item."""

from __future__ import annotations

import dataclasses

import numpy as np

from tf_micle.options import TASKS, UNITS
from tf_micle.system.input_error import InputError

LEVELS = (*UNITS, "patient")
SEVERAL = "(several)"
KEYS = ("patient_id", "bag_id", "row")


@dataclasses.dataclass(frozen=True, eq=False)
class Items:
  """What is known of n items over C classes before a model is asked.

  Attributes:
    task: "multi_class" (one label an item) or "multi_label" (findings).
    class_names: C names, none empty, none twice.
    unit: what an item is: "image", "bag" or "patient".
    patient_id: (n,) str, pseudonyms.
    bag_id: (n,) str.
    row: (n,) str, the manifest row of an image; of a bag or a patient, its
      rows joined by spaces.
    labels: multi_class: (n,) int64 in [0, C), -1 where unknown. multi_label:
      (n, C) float64: 1, 0, -1 uncertain, NaN not stated.
    metadata: column name -> (n,) str.

  Raises:
    ValueError: a shape or a value is none of the above.
  """

  task: str
  class_names: tuple[str, ...]
  unit: str
  patient_id: np.ndarray
  bag_id: np.ndarray
  row: np.ndarray
  labels: np.ndarray
  metadata: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    self._keep("class_names", tuple(self.class_names))
    for name in KEYS:
      self._keep(name, np.asarray(getattr(self, name), str))
    label_type = np.int64 if self.task == "multi_class" else np.float64
    self._keep("labels", np.asarray(self.labels, label_type))
    texts = {k: np.asarray(v, str) for k, v in self.metadata.items()}
    self._keep("metadata", texts)
    _check(self)

  def _keep(self, name, value):
    object.__setattr__(self, name, value)

  def __len__(self) -> int:
    """The number of items, n."""
    return len(self.patient_id)

  @property
  def positive(self) -> np.ndarray:
    """(n, C) bool: whether the item is known to have the class."""
    if self.task == "multi_class":
      return self.labels[:, None] == np.arange(len(self.class_names))
    return self.labels == 1

  @property
  def stated(self) -> np.ndarray:
    """(n, C) bool: whether it is known if the item has the class."""
    if self.task == "multi_class":
      known = self.labels[:, None] >= 0
      return np.broadcast_to(known, (len(self), len(self.class_names)))
    return np.isin(self.labels, (0, 1))

  def scored(self, probabilities: np.ndarray) -> Predictions:
    """`Predictions` of these items."""
    known = {f.name: getattr(self, f.name) for f in dataclasses.fields(Items)}
    return Predictions(**known, probabilities=probabilities)


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions(Items):
  """Labels and probabilities of n items over C classes.

  Attributes:
    probabilities: (n, C) float64 in [0, 1]; the others are those of `Items`.

  Raises:
    InputError: a probability is not finite, or out of range.
    ValueError: a shape or another value is none of the above.
  """

  probabilities: np.ndarray = dataclasses.field(kw_only=True)

  def __post_init__(self):
    # float64 holds every float32, so nothing is lost, and averages over a
    # patient's items do not depend on what the model computed in.
    self._keep("probabilities", np.asarray(self.probabilities, np.float64))
    super().__post_init__()
    check_probabilities(self.probabilities)

  def take(self, index: np.ndarray | list[int]) -> Predictions:
    """The items of a mask (n,) or of positions, in their order."""
    columns = (*KEYS, "labels", "probabilities")
    return dataclasses.replace(
      self,
      metadata={name: values[index] for name, values in self.metadata.items()},
      **{name: getattr(self, name)[index] for name in columns},
    )


def _check(items: Items) -> None:
  """Raises an error where the parts do not fit each other."""
  names = items.class_names
  if items.task not in TASKS:
    raise ValueError(f"Expected a task of {TASKS}. Received: {items.task!r}.")
  if items.unit not in LEVELS:
    raise ValueError(f"Expected a unit of {LEVELS}. Received: {items.unit!r}.")
  if not names or "" in names or len(set(names)) < len(names):
    raise ValueError(
      "Expected class names that are not empty and all different, as they "
      f"name the columns of the file. Received: {names}."
    )
  count, classes = len(items), len(names)
  one_label = items.task == "multi_class"
  shapes = {name: (count,) for name in KEYS}
  shapes["labels"] = (count,) if one_label else (count, classes)
  if isinstance(items, Predictions):
    shapes["probabilities"] = (count, classes)
  found = {name: getattr(items, name).shape for name in shapes}
  for column, values in items.metadata.items():
    shapes[f"metadata[{column!r}]"] = (count,)
    found[f"metadata[{column!r}]"] = values.shape
  wrong = {name: found[name] for name in shapes if found[name] != shapes[name]}
  if wrong:
    raise ValueError(
      f"Expected the shapes { {name: shapes[name] for name in wrong} } for "
      f"{count} items and {classes} classes. Received: {wrong}."
    )
  labels = items.labels
  if one_label:
    known = (labels >= -1) & (labels < classes)
  else:
    known = np.isnan(labels) | np.isin(labels, (-1, 0, 1))
  if not known.all():
    raise ValueError(
      f"Expected labels of -1 (unknown) to {classes - 1}, or 1, 0, -1 "
      "(uncertain) and NaN for findings. Received: "
      f"{np.unique(labels[~known])[:5].tolist()}."
    )


def check_probabilities(probabilities: np.ndarray) -> None:
  """Raises an InputError where one is not finite, or out of range."""
  # A mean of rounded probabilities may pass 1 by a rounding error.
  good = (probabilities >= 0) & (probabilities <= 1 + 1e-6)
  if not good.all():
    raise InputError(
      "Expected finite probabilities between 0 and 1. Received: "
      f"{probabilities[~good][:5].tolist()}, {(~good).sum()} in all. "
      "A model that gives NaN has diverged: take an earlier checkpoint."
    )


def at_level(level: str, predictions: Predictions) -> Predictions:
  """`predictions` themselves at the level of their unit, else by patient."""
  return predictions if level == predictions.unit else by_patient(predictions)


def by_patient(predictions: Predictions) -> Predictions:
  """One item a patient, in the order of their first items.

  Probabilities are averaged. multi_class: the label is the one that all of
  the patient's labelled items share; where they differ it is -1
  (`patients_with_several_labels` counts these). multi_label, each finding: 1
  if any item has it, else -1 if any is uncertain, else 0 if any is without,
  else NaN. Metadata: the shared value, else "(several)".
  """
  patients, items = _items_of_patients(predictions)

  def gather(values, merge):
    return np.array([merge(values[of]) for of in items], values.dtype)

  def texts(values, merge):
    return np.array([merge(list(dict.fromkeys(values[of]))) for of in items])

  one_label = predictions.task == "multi_class"
  return Predictions(
    predictions.task,
    predictions.class_names,
    "patient",
    patients,
    texts(predictions.bag_id, " ".join),
    texts(predictions.row, " ".join),
    labels=gather(
      predictions.labels, _shared_label if one_label else _merged_findings
    ).reshape((len(items), *predictions.labels.shape[1:])),
    probabilities=gather(
      predictions.probabilities, lambda p: p.mean(axis=0)
    ).reshape(len(items), -1),
    metadata={
      column: texts(values, lambda v: v[0] if len(v) == 1 else SEVERAL)
      for column, values in predictions.metadata.items()
    },
  )


def patients_with_several_labels(predictions: Predictions) -> list[str]:
  """The patients whose labelled items differ (multi_class; else none)."""
  if predictions.task != "multi_class":
    return []
  patients, items = _items_of_patients(predictions)
  known = [set(predictions.labels[of].tolist()) - {-1} for of in items]
  return [str(p) for p, labels in zip(patients, known) if len(labels) > 1]


def _items_of_patients(predictions):
  """Patients by first appearance, and the item numbers of each."""
  items = {}
  for i, patient in enumerate(predictions.patient_id.tolist()):
    items.setdefault(patient, []).append(i)
  return np.array(list(items), str), list(items.values())


def _shared_label(labels):
  known = np.unique(labels[labels >= 0])
  return known[0] if len(known) == 1 else -1


def _merged_findings(labels):
  """(items, C) -> (C,)."""
  merged = np.full(labels.shape[1], np.nan)
  # The last to be written wins: 1 over uncertain over 0.
  for value in (0, -1, 1):
    merged[(labels == value).any(axis=0)] = value
  return merged
