"""Pictures of failures: whose they are, in what order, what is left out."""

import types

import numpy as np
import pytest

from tf_micle.classifier.pooling import BagPooling
from tf_micle.evaluation import failure_pictures, scoring

SIZES = [1, 14, 2, 3]  # Bags: two of patient p, then one of q and of r.
PATIENTS = ["p", "p", "q", "r"]
N = sum(SIZES)
FEATURES = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)


class Images:
  """An image is its place."""

  def __init__(self, labels):
    bags = np.repeat(np.arange(4), SIZES)
    self.table = types.SimpleNamespace(
      patient_id=np.array(PATIENTS)[bags],
      bag_id=bags.astype(str),
      row=100 + np.arange(N),
      labels=np.asarray(labels)[bags],
      metadata={},
    )

  def views_at(self, places):
    return {place: np.full((2, 2, 3), place, np.uint8) for place in places}


def find(monkeypatch, unit, labels, probabilities, **changes):
  """With maps that are the place, and notes of what they were asked for."""
  asked = []

  def grad_cam(model, images, class_, bag):
    asked.append((images[:, 0, 0, 0].tolist(), class_, bag))
    return images[..., 0].astype(np.float32)

  monkeypatch.setattr(failure_pictures, "grad_cam", grad_cam)
  monkeypatch.setattr(
    failure_pictures.heat_map_check,
    "similarity",
    lambda model, images, classes, maps, seed: {"images": len(images)},
  )
  task = "multi_class" if np.ndim(labels) == 1 else "multi_label"
  images = Images(labels)
  items = scoring.unscored(
    images.table, unit=unit, task=task, class_names=("a", "b")
  )
  if unit == "image":
    probabilities = np.repeat(probabilities, SIZES, axis=0)
  model = types.SimpleNamespace(
    pooling=BagPooling("max") if unit == "bag" else None
  )
  given = {"heat_maps": True, "seed": 0, **changes}
  found = failure_pictures.find(
    items.scored(probabilities), images, model, FEATURES, **given
  )
  return found, asked


def places(case):
  return [int(one.row) - 100 for one in case.pictures]


def test_of_images(monkeypatch):
  """Patient p's first image is wrong, q's are right, r has no label."""
  labels, given = [0, 1, 1, -1], [[0.2, 0.8], [0.3, 0.7], [0, 1], [0, 1]]
  found, asked = find(monkeypatch, "image", labels, np.array(given))
  (case,) = found.cases
  assert (case.truth, case.told, case.given) == ("a", "b", 0.2)
  assert places(case) == list(range(12))
  assert case.left_out == 3
  assert [one.failed for one in case.pictures] == [True] + [False] * 11
  assert [one.right for one in case.pictures] == [False] + [True] * 11
  assert case.pictures[1].given == pytest.approx(0.7)
  assert [one.heat is not None for one in case.pictures] == [True] + [
    False
  ] * 11
  # The class that was chosen.
  assert asked == [([0], 1, None)]
  assert (found.wrong, found.check) == (1, {"images": 1})
  found, asked = find(
    monkeypatch, "image", labels, np.array(given), heat_maps=False
  )
  assert (asked, found.check, found.cases[0].pictures[0].heat) == (
    [],
    None,
    None,
  )


def test_of_bags_by_their_weights(monkeypatch):
  """Findings: p's second bag lacks b and is told to have it."""
  labels = [[0, -1], [0, 0], [1, 1], [0, np.nan]]
  given = np.array([[0, 1], [0, 0.9], [1, 1], [0, 1]])
  found, asked = find(monkeypatch, "bag", labels, given)
  (case,) = found.cases
  assert (case.truth, case.told) == ("b: no", "b: yes")
  assert case.given == pytest.approx(0.1)
  best = FEATURES[1:15].argmax(axis=0) + 1
  weights = {place: (best == place).sum() / 4 for place in range(1, 15)}
  expected = sorted(weights, key=lambda place: -weights[place])
  assert places(case) == expected[:12]
  assert case.left_out == 3
  for one, place in zip(case.pictures, expected):
    assert one.weight == pytest.approx(weights[place])
  ((shown, class_, others),) = asked
  assert (shown, class_) == (expected[:3], 1)
  rest = [place for place in range(1, 15) if place not in shown]
  np.testing.assert_array_equal(others, FEATURES[rest])

  labels[1], given[1] = [1, 1], [1, 1]
  labels[3], given[3] = [1, 0], [0.1, 0.8]
  found, _ = find(monkeypatch, "bag", labels, given)
  # An item once, by what is worst of it.
  assert [one.truth for one in found.cases] == ["a: yes"]
  labels[0], given[0] = [1, 0], [0, 0]
  found, _ = find(monkeypatch, "bag", labels, given)
  case = found.cases[0]
  # After its own image those of the patient's other bag, of which a is known.
  assert [one.failed for one in case.pictures] == [True] + [False] * 11
  assert case.pictures[0].weight == 1
  assert (case.pictures[1].right, case.pictures[1].given) == (True, 1)


def test_nothing_is_wrong(monkeypatch):
  found, asked = find(monkeypatch, "bag", [0] * 4, np.eye(2)[[0] * 4])
  assert (list(found.cases), asked) == ([], [])
