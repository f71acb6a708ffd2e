"""Health of a pretraining run: measures against naive ones, and verdicts."""

import types

import numpy as np
import pytest
import tensorflow as tf
import tiny
from sklearn import metrics, neighbors

import run
from tf_micle.contrastive.model import ContrastiveModel
from tf_micle.encoder.build import build_projection_head
from tf_micle.health import checks, neighbours, spread, verdict
from tf_micle.runs import run_log
from tf_micle.system import distribution
from tf_micle.views.photometry_options import PhotometryOptions

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


@pytest.fixture
def pretrain(demo_records, tmp_path):
  """Runs a tiny pretraining with checks; returns the rows and the log."""

  def go(name="run", **changes):
    flags = {
      **{"data_dir": demo_records, "model_dir": tmp_path / name},
      **{"use_micle": True, "health_checks": True},
      **{"train_steps": 4, "checkpoint_steps": 2, **changes},
    }
    assert tiny.command(**flags) == run.DONE
    return run_log.read(tmp_path / name)

  return go


def health(row):
  return {k: v for k, v in row.items() if k.startswith("health_")}


def test_a_run_is_measured_from_step_0_on(pretrain, caplog, tmp_path):
  caplog.set_level("INFO")
  rows = pretrain(log_steps=4)
  assert [row["step"] for row in rows] == [0, 2, 4]
  assert "loss" not in rows[0]
  assert "Health checks: on " in caplog.text
  assert "Health at step 4: " in caplog.text
  promised = {
    *("alignment", "uniformity", "rankme", "lidar", "retrieval_map"),
    *("recall_at_1", "knn_top1", "knn_mean_auroc"),
  }
  # Checkpoints that follow each other closely are not all checked.
  assert not health(rows[1])
  for row in rows[::2]:
    assert {f"health_{name}" for name in promised} <= row.keys()
  assert health(pretrain("again", seed=1)[0]).keys() == health(rows[0]).keys()


def test_step_0_is_measured_before_anything_is_learnt(pretrain):
  """After the first step, with the weights of before it, and no trace left."""
  runs = [
    pretrain("slow", learning_rate=1e-3, log_steps=4),
    pretrain("fast", learning_rate=10.0, log_steps=4),
  ]
  assert health(runs[0][0]) == health(runs[1][0])
  assert health(runs[0][-1]) != health(runs[1][-1])
  (random,) = pretrain("random", train_steps=0)
  assert health(random) == health(runs[0][0])
  unmeasured = pretrain(
    "off", learning_rate=10.0, health_checks=False, log_steps=4
  )
  assert unmeasured[-1]["loss"] == runs[1][-1]["loss"]


def test_without_a_validation_split_a_line_says_so(pretrain, caplog):
  caplog.set_level("INFO")
  pretrain("both", train_split="train+validation", train_steps=0)
  assert "validation is trained on too" in caplog.text
  rows = pretrain(eval_split="dev", lineareval_while_pretraining=False)
  assert not any(map(health, rows))
  assert caplog.text.count("No health checks: ") == 1


class Nearby:
  """Held-out images whose bag shows in 4 of 64 pixels, beside strong noise."""

  def __init__(self, bags, seed):
    draw = np.random.default_rng(seed)
    code = draw.choice([-30, 30], (bags, 1, 4))
    noise = draw.integers(-100, 100, (bags, 2, 60))
    pixels = np.concatenate([np.repeat(code, 2, axis=1), noise], axis=2) + 128
    grey = pixels.reshape(bags, 2, 8, 8, 1).astype(np.uint8)
    self.views = np.repeat(grey, 3, axis=-1)
    names = np.repeat(np.arange(bags).astype(str), 2)
    self.table = types.SimpleNamespace(
      bag_id=names, patient_id=names, row=np.arange(2 * bags), labels=None
    )
    self.checksum = seed

  def batches(self, context):
    views = self.views.reshape(-1, 1, 8, 8, 3)
    return tf.data.Dataset.from_tensors({"views": views})

  def steps(self, replicas):
    return 1


def linear_model():
  """Returns a contrastive model whose encoder is linear."""
  images = tf.keras.Input((8, 8, 3))
  h = tf.keras.layers.Dense(8)(tf.keras.layers.Flatten()(images - 0.5))
  encoder = tf.keras.Model(images, {"final_avg_pool": h})
  options = tiny.options(color_jitter_strength=0.0, use_blur=False)
  model = ContrastiveModel(
    encoder,
    build_projection_head(options, 8),
    photometry_options=PhotometryOptions.of(options),
    temperature=0.2,
  )
  model.compile(tf.keras.optimizers.Adam(0.01))
  return model


def test_what_learns_and_what_collapses_is_told(caplog):
  caplog.set_level("INFO")
  tf.keras.utils.set_random_seed(0)
  model, held_out = linear_model(), Nearby(60, seed=0)
  health = checks.HealthChecks(
    types.SimpleNamespace(name="toy/dev", num_images=120, class_names=()),
    lambda source, most: held_out,
    **{"save_every": 1, "views_a_step": 128, "begun": "random weights"},
  )
  strategy = distribution.choose("one_device")
  health.begin(model, strategy)
  start = model.get_weights()

  def verdict_of_now():
    caplog.clear()
    health.check(100, model, strategy, [])
    return caplog.text

  assert "no better than random weights yet" in verdict_of_now()
  pairs = np.stack([Nearby(64, seed=k).views for k in range(1, 101)])
  model.fit(tf.data.Dataset.from_tensor_slices({"views": pairs}), verbose=0)
  assert ": learning (" in verdict_of_now()
  model.set_weights([weight * 0 + (weight.ndim < 2) for weight in start])
  assert ": collapsing: uniformity came from " in verdict_of_now()
  assert "--learning_rate" in verdict_of_now()
