"""Health of a pretraining run: measures against naive ones, and verdicts."""

import types

import numpy as np
import pytest
from sklearn import metrics, neighbors

from tf_micle.health import checks, neighbours, spread, verdict

DRAW = np.random.default_rng(0)
Z = DRAW.normal(size=(30, 6)).astype(np.float32)
# Twelve bags of 1 to 4 images; each two are of one patient.
BAGS = np.repeat(np.arange(12), [4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3])
PATIENTS = BAGS // 2


def test_alignment_and_uniformity_on_the_sphere():
  pairs = np.array([[0, 1], [2, 3]])
  corners = np.array([[1, 0], [0, 2], [-3, 0], [0, -1]])
  assert spread.alignment(corners, pairs) == pytest.approx(2)
  # Four neighbours at squared distance 2, two opposites at 4.
  expected = np.log((4 * np.exp(-4) + 2 * np.exp(-8)) / 6)
  assert spread.uniformity(corners) == pytest.approx(expected)
  assert spread.uniformity(np.ones((5, 3))) == pytest.approx(0)
  assert spread.uniformity(np.zeros((5, 3))) == 0  # A collapse, too.


def test_rankme_counts_directions():
  rows = np.linalg.qr(DRAW.normal(size=(9, 9)))[0][:5]
  assert spread.rankme(rows) == pytest.approx(5, rel=1e-4)
  assert spread.rankme(np.ones((7, 4))) == pytest.approx(1, rel=1e-4)
  assert spread.rankme(np.zeros((7, 4))) == 1


def test_lidar_is_the_rank_between_bags():
  values = []
  for scale in (1e-3, 1.0):
    z = scale * DRAW.normal(size=(40, 5))
    classes = np.repeat(np.arange(10), 4)
    means = [z[classes == k].mean(axis=0) for k in range(10)]
    between = np.cov(means, rowvar=False)
    within = sum(np.cov(z[classes == k], rowvar=False) for k in range(10)) / 10
    # The eigenvalues of Sw^-1 Sb are those of the symmetric product.
    found = np.linalg.eigvals(
      np.linalg.inv(within + 1e-4 * np.eye(5)) @ between
    )
    p = np.real(found) / np.real(found).sum()
    values.append(spread.lidar(z, classes))
    assert values[-1] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-3)
  line = np.repeat(DRAW.normal(size=(10, 1)), 4, axis=0) * np.ones(5)
  noise = 0.1 * DRAW.normal(size=(40, 5))
  assert spread.lidar(line + noise, classes) < 1.5 < min(values)


def test_retrieval_is_average_precision_by_scikit_learn():
  similar = metrics.pairwise.cosine_similarity(Z)
  expected, first = [], []
  for bag in np.unique(BAGS):
    own = np.flatnonzero(bag == BAGS)
    if len(own) < 2:
      continue
    precisions, firsts = [], []
    for i in own:
      others = [
        j
        for j in range(len(Z))
        if j != i and (BAGS[j] == bag or PATIENTS[j] != PATIENTS[i])
      ]
      truth = BAGS[others] == bag
      scores = similar[i, others]
      precisions.append(metrics.average_precision_score(truth, scores))
      firsts.append(truth[np.argmax(scores)])
    expected.append(np.mean(precisions))
    first.append(np.mean(firsts))
  found = neighbours.retrieval(Z, BAGS, PATIENTS)
  np.testing.assert_allclose(found[0], expected)
  np.testing.assert_allclose(found[1], first)


def test_what_is_the_same_for_all_images_finds_nothing():
  values, at_1 = neighbours.retrieval(np.ones((30, 6)), BAGS, PATIENTS)
  assert values.max() < 0.15
  assert at_1.max() == 0


@pytest.mark.parametrize("several", [False, True])
def test_neighbours_are_of_other_patients(several, monkeypatch):
  monkeypatch.setattr(neighbours, "K", 5)
  labels = DRAW.integers(-1, 3, 30)
  if several:
    labels = DRAW.choice([0.0, 1.0, -1.0, np.nan], (30, 3))
  found = neighbours.knn_probabilities(Z, labels, PATIENTS, 3)
  for i in range(30):
    for c in range(3):
      column = labels if not several else labels[:, c]
      known = (column >= 0) & (PATIENTS[i] != PATIENTS)
      knn = neighbors.KNeighborsClassifier(5, metric="cosine")
      knn.fit(Z[known], column[known] == (1 if several else c))
      chance = dict(zip(knn.classes_, knn.predict_proba(Z[i : i + 1])[0]))
      assert found[i, c] == pytest.approx(chance.get(True, 0))


def test_the_share_of_true_neighbours_is_by_patient():
  chances = np.array([[0.2, 0.8], [0.4, 0.6], [1.0, 0.0], [0.5, 0.5]])
  patients = np.array(["p", "p", "q", "r"])
  found = neighbours.by_patient(chances, np.array([1, 0, 0, -1]), patients)
  np.testing.assert_allclose(found, [0.6, 1.0])
  findings = np.array([[1, 0], [np.nan, -1], [0, np.nan], [np.nan, 1]])
  found = neighbours.by_patient(chances, findings, patients)
  np.testing.assert_allclose(found, [0.2, 0.0, 0.5])


def test_what_cannot_be_measured_is_left_out():
  def names(bags, labels, classes, patients=None, factor=1):
    table = types.SimpleNamespace(
      bag_id=np.array(bags),
      patient_id=np.array(patients or bags),
      labels=np.array(labels),
    )
    z = Z[: len(bags)] * factor
    return set(checks.measure(z, z, table, classes))

  rank = {"uniformity", "rankme"}
  assert names([0], [-1], 0) == set()
  assert names([0, 1, 2], [-1, -1, -1], 2) == rank
  assert names([0, 1, 0], [-1, -1, -1], 0) == rank | {"alignment"}
  # All that could be found is of the patient who looks for it.
  of_one = names([0, 1, 0, 1], [0, 0, 1, 1], 2, patients=[7] * 4)
  assert of_one == rank | {"alignment", "lidar"}
  assert names([0, 1, 0, 1], [0, 0, 1, 1], 2, factor=np.nan) == set()
  assert verdict.line({}, {}, "random weights", 100).startswith("no verdict")
  assert names([0, 1, 0, 1], [0, 0, 1, 1], 2) == rank | {
    *("alignment", "lidar", "retrieval_map", "retrieval_map_error"),
    *("recall_at_1", "knn_top1", "knn_mean_auroc"),
    *("knn_true_share", "knn_true_share_error"),
  }


AT_START = {
  **{"uniformity": -0.04, "rankme": 4.0},
  **{"retrieval_map": 0.2, "retrieval_map_error": 0.03},
  **{"knn_true_share": 0.5, "knn_true_share_error": 0.02},
}


@pytest.mark.parametrize(
  ("changes", "expected"),
  [
    ({}, "no better than random weights yet"),
    ({"retrieval_map": 0.28}, "no better than random weights yet"),
    ({"retrieval_map": 0.3}, "learning"),
    ({"knn_true_share": 0.6}, "learning"),
    ({"uniformity": -0.012, "rankme": 2.0}, "no better"),
    ({"uniformity": -0.009}, "collapsing: uniformity came from -0.04"),
    ({"rankme": 1.5, "retrieval_map": 0.3}, "collapsing: RankMe came from 4"),
  ],
)
def test_the_verdict_is_against_step_0(changes, expected):
  found = {**AT_START, **changes}
  line = verdict.line(found, AT_START, "random weights", 100)
  early = verdict.line(found, AT_START, "random weights", 99)
  assert line.startswith(expected)
  assert not early.startswith("collapsing")
  # With neither labels nor bags of two there is nothing else to tell by.
  spread = {"uniformity": -0.001, "rankme": 1.1}
  early = verdict.line(spread, AT_START, "random weights", 99)
  assert early.startswith("no verdict yet")
  unmeasured = verdict.line(spread, {"images": 128}, "random weights", 600)
  assert unmeasured.startswith("no verdict yet")
  assert ("--learning_rate" in line) == expected.startswith("collapsing")
