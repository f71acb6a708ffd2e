"""Pictures of failures: all images of patients, weights and heat maps."""

from __future__ import annotations

import collections

import numpy as np

from tf_micle.classifier.grad_cam import grad_cam
from tf_micle.evaluation import heat_map_check, scoring
from tf_micle.evaluation.failures import (
  Failure,
  Failures,
  Picture,
  judged,
  most_wrong,
)

_MOST = 24
# Of a patient; and of an item, those that heat maps are made of.
_MOST_IMAGES, _MOST_MAPS = 12, 3
# Maps that are checked.
_MOST_CHECKED = 12


def find(predictions, images, model, features, *, heat_maps, seed):
  """Returns the `Failures` of a model on a split.

  Args:
    predictions: `Predictions`.
    images: has the images' `table`, as in `scoring.unscored`, and `views_at`,
      from places in it to a dict of uint8 (h, w, 3).
    model: `model.Classifier`.
    features: float32 (n, f), the model's of these images.
    heat_maps: whether to make and check them.
    seed: of the check.
  """
  wrong = most_wrong(predictions, _MOST)
  if not wrong:
    return Failures()
  given, right = judged(predictions)
  count = int((~np.isnan(given) & ~right).any(axis=1).sum())
  items = scoring.items_of(images.table, predictions.unit)
  places, weights = _places(predictions, items, wrong, model, features)
  shown = {item: every[:_MOST_IMAGES] for item, every in places.items()}
  views = images.views_at({p for some in shown.values() for _, p in some})
  cases, checked = [], []
  for item, class_, probability in wrong:
    truth, told, said = _words(predictions, item, class_)
    maps = {}
    if heat_maps:
      own = [place for one, place in shown[item] if one == item][:_MOST_MAPS]
      seen = np.stack([views[place] for place in own])
      others = features[np.setdiff1d(items[item], own)]
      bag = others if model.pooling else None
      maps = dict(zip(own, grad_cam(model, seen, said, bag)))
      checked.append((seen[0], said, maps[own[0]]))
    pictures = [
      Picture(
        image=views[place],
        row=str(images.table.row[place]),
        failed=one == item,
        given=float(given[one, class_]),
        right=bool(right[one, class_]),
        weight=weights.get(place),
        heat=maps.get(place),
      )
      for one, place in shown[item]
    ]
    patient = str(predictions.patient_id[item])
    left_out = len(places[item]) - len(pictures)
    cases.append(Failure(patient, truth, told, probability, pictures, left_out))
  check = None
  if checked:
    # Of all classes: cases are in their order.
    some = checked[:: -(-len(checked) // _MOST_CHECKED)]
    columns = map(np.stack, zip(*some))
    check = heat_map_check.similarity(model, *columns, seed=seed)
  return Failures(cases, count, check)


def _places(predictions, items, wrong, model, features):
  """Returns where the images of wrong items and their patients are.

  By item a list of (item, place), its own first, in a bag those that weigh
  most first; and by place the weight.
  """
  of_patient, places, weights = collections.defaultdict(list), {}, {}
  for item, patient in enumerate(predictions.patient_id):
    of_patient[patient].append(item)
  for item, _, _ in wrong:
    every = of_patient[predictions.patient_id[item]]
    places[item] = []
    for one in sorted(every, key=lambda other: other != item):
      own = items[one]
      if model.pooling:
        shares = model.pooling.shares(features[own][None])[0].numpy()
        weights.update(zip(own.tolist(), shares.tolist()))
        own = own[np.argsort(-shares, kind="stable")]
      places[item] += [(one, place) for place in own.tolist()]
  return places, weights


def _words(predictions, item, class_):
  """Returns what is true and what was told, and the class of the latter."""
  names = predictions.class_names
  if predictions.task == "multi_class":
    said = int(predictions.probabilities[item].argmax())
    return names[class_], names[said], said
  words = [f"{names[class_]}: {word}" for word in ("no", "yes")]
  truth = bool(predictions.positive[item, class_])
  return words[truth], words[not truth], class_
