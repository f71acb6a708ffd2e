"""Scoring of a split by a classifier: images in, `Predictions` out."""

from __future__ import annotations

import numpy as np

from tf_micle.classifier.pooling import pad_bags
from tf_micle.evaluation import evaluate as evaluation
from tf_micle.evaluation.predictions import (
  SEVERAL,
  Items,
  check_probabilities,
)
from tf_micle.runs import selection
from tf_micle.system.plurals import counted

# Bags that are pooled at once.
_BAGS = 256


def unscored(table, *, unit, task, class_names, trained_names=None):
  """Returns the `Items` of a split, for a model to score.

  Args:
    table: the images' facts: `patient_id`, `bag_id`, `row`, `labels` (those of
      the bags for unit 'bag'), `metadata`.
    unit: 'image' or 'bag': what an item is.
    task: 'multi_class' or 'multi_label'.
    class_names: of the labels.
    trained_names: of the model's outputs, where they are others.
  """
  trained_names = trained_names or class_names
  items = items_of(table, unit)
  first = np.array([item[0] for item in items], int)
  rows = [" ".join(str(row) for row in table.row[item]) for item in items]
  return Items(
    task=task,
    class_names=tuple(trained_names),
    unit=unit,
    patient_id=table.patient_id[first],
    bag_id=table.bag_id[first],
    row=np.array(rows, str),
    labels=relabel(table.labels[first], class_names, trained_names),
    metadata={
      name: _shared(values, items) for name, values in table.metadata.items()
    },
  )


def probabilities(model, features, items, unit):
  """Returns each item's probabilities, float32 (items, classes).

  Args:
    model: `model.Classifier`.
    features: float32 (n, f), of images.
    items: list of the places of each item's images among the features; with
      unit 'image' one each, in order.
    unit: 'image', or 'bag': then the images of an item are pooled.

  Raises:
    InputError: if a probability is not finite.
  """
  if unit == "image":
    found = np.asarray(model.probabilities(features))
  else:
    found = _pooled(model, features, items)
  check_probabilities(found)
  return found


def scored(model, features, table, items):
  """Returns the `Predictions` of a model on items.

  Args:
    model: `model.Classifier`.
    features: float32 (n, f), what `model.predict` gave for the images of
      `table`, in its order.
    table: as in `unscored`.
    items: what `unscored` gave for it.

  Raises:
    InputError: if a probability is not finite.
  """
  images = items_of(table, items.unit)
  return items.scored(probabilities(model, features, images, items.unit))


def defined_scores(labels, num_classes):
  """Returns the names of the scores that some labels define.

  Args:
    labels: int64 (n,) or floats (n, num_classes).
    num_classes: classes or findings.
  """
  guess = np.full((len(labels), num_classes), 1 / num_classes)
  return set(evaluation.point_values(labels, guess))


def validated(
  model, batches, split, *, steps, task, class_names, callbacks=None
):
  """Returns a classifier's `Predictions` of a split, while it is trained.

  Args:
    model: `model.Classifier`.
    batches: data set of dicts with `views` uint8 (b, 1, h, w, 3), in the order
      of the split's table.
    split: has the images' `table` and the `unit` of a label.
    steps: the batches' number, where they are distributed.
    task: 'multi_class' or 'multi_label'.
    class_names: of the labels.
    callbacks: Keras's, or None.
  """
  items = unscored(
    split.table, unit=split.unit, task=task, class_names=class_names
  )
  features = model.predict(
    batches, verbose=0, steps=steps, callbacks=callbacks
  )  # (n, f)
  return scored(model, features, split.table, items)


def log_values(predictions):
  """Returns the scores of `Predictions`, by name, for the log of a training."""
  values = evaluation.point_values(
    predictions.labels, predictions.probabilities
  )
  return {selection.PREFIX + name: value for name, value in values.items()}


def relabel(labels, class_names, trained_names):
  """Translates labels of a data set to the classes of a model, by name.

  Args:
    labels: int64 (n,), -1 unknown, or floats (n, classes).
    class_names: the data set's.
    trained_names: the model's.

  Returns:
    Labels in the order of `trained_names`: a class that the model does not know
    is unknown (-1), a finding that the data set lacks is not stated (NaN).
  """
  places = {name: i for i, name in enumerate(trained_names)}
  if labels.ndim == 1:
    # One more, for -1: the last of the table.
    table = np.array([places.get(name, -1) for name in class_names] + [-1])
    return table[labels]
  known = np.full((len(labels), len(trained_names)), np.nan)
  for column, name in enumerate(class_names):
    if name in places:
      known[:, places[name]] = labels[:, column]
  return known


def notes_of_classes(table, class_names, trained_names):
  """Returns what to say of classes that data set and model do not share.

  Args:
    table: has `labels`.
    class_names: the data set's.
    trained_names: the model's.
  """
  notes = []
  unknown = sorted(set(class_names) - set(trained_names))
  if unknown:
    one = len(unknown) == 1
    count = f"{'that finding is' if one else 'those findings are'} left out"
    if table.labels.ndim == 1:
      numbers = [class_names.index(name) for name in unknown]
      images = counted(np.isin(table.labels, numbers).sum(), "image", "is")
      count = f"{images} left out for it, which flatters accuracy"
    notes.append(f"The model does not know {', '.join(unknown)}: {count}.")
  absent = sorted(set(trained_names) - set(class_names))
  if absent:
    notes.append(f"The data set does not have {', '.join(absent)}.")
  return notes


def items_of(table, unit):
  """Returns the places of each item's images in a table, (m,) int each.

  Args:
    table: has `row` and `bag_id`, a row an image.
    unit: 'image' or 'bag'; bags are in the order of first appearance.
  """
  if unit == "image":
    return [np.array([image]) for image in range(len(table.row))]
  places = {}
  for image, bag in enumerate(table.bag_id):
    places.setdefault(bag, []).append(image)
  return [np.array(images) for images in places.values()]


def _pooled(model, features, bags):
  """Returns the probabilities (bags, classes) of bags of features."""
  parts = []
  for start in range(0, len(bags), _BAGS):
    chunk = bags[start : start + _BAGS]
    bag_of = np.repeat(np.arange(len(chunk)), [len(bag) for bag in chunk])
    padded = pad_bags(features[np.concatenate(chunk)], bag_of, len(chunk))
    parts.append(np.asarray(model.bag_probabilities(*padded)))
  return np.concatenate(parts)


def _shared(values, items):
  """Returns each item's value, or `SEVERAL` where its images differ."""
  return np.array(
    [
      values[item[0]] if len(set(values[item])) == 1 else SEVERAL
      for item in items
    ],
    str,
  )
