"""Losses on labels: masked, weighted, focal; by loops and by hand."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils import class_weight

from tf_micle.classifier import supervised

RNG = np.random.default_rng(0)
LOGITS = (2 * RNG.normal(size=(6, 3))).astype(np.float32)
CLASSES = np.array([0, 2, -1, 1, 1, 2])
FINDINGS = RNG.choice([0, 1, -1, np.nan], (6, 3)).astype(np.float32)


def softmax_loop(gamma, weights):
  losses = []
  for row, label in zip(LOGITS.astype(np.float64), CLASSES):
    p = (np.exp(row) / np.exp(row).sum())[label]
    loss = -weights[label] * (1 - p) ** gamma * np.log(p)
    losses.append(0 if label < 0 else loss)
  return losses


def sigmoid_loop(gamma, weights):
  losses = np.zeros((6, 3))
  for i, j in np.ndindex(6, 3):
    p = 1 / (1 + np.exp(-float(LOGITS[i, j])))
    if FINDINGS[i, j] in (0, 1):
      value = int(FINDINGS[i, j])
      p_true = (1 - p, p)[value]
      focus = (1 - p_true) ** gamma
      losses[i, j] = -weights[value][j] * focus * np.log(p_true)
  return losses


def test_masked_loss_on_hand_worked_labels():
  logits = tf.math.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
  losses, known = supervised.masked_loss(logits, tf.constant([1, -1], tf.int64))
  np.testing.assert_allclose(losses, [np.log(4), 0], rtol=1e-6)
  np.testing.assert_array_equal(known, [True, False])
  labels = tf.constant([[1.0, 0.0, -1.0], [np.nan, 1.0, 0.0]])
  losses, known = supervised.masked_loss(tf.zeros((2, 3)), labels)
  half = np.log(2)
  np.testing.assert_allclose(losses, [[half, half, 0], [0, half, half]])
  np.testing.assert_array_equal(known, [[1, 1, 0], [0, 1, 1]])
  logits = tf.constant([[2.0, -1.0, 3.0], [1.0, -1.0, -1.0]])
  np.testing.assert_array_equal(
    supervised.correct(logits, labels), [[1, 1, 0], [0, 0, 1]]
  )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_loss_is_the_naive_loop_s(gamma):
  words = {"focal_gamma": gamma}
  weights = np.array([0.5, 3.0, 1.25])
  losses, _ = supervised.masked_loss(
    LOGITS, tf.constant(CLASSES), class_weights=weights, **words
  )
  np.testing.assert_allclose(losses, softmax_loop(gamma, weights), rtol=1e-4)
  weights = np.array([[0.5, 1.0, 1.5], [4.0, 3.0, 2.0]])
  losses, known = supervised.masked_loss(
    LOGITS, tf.constant(FINDINGS), class_weights=weights, **words
  )
  np.testing.assert_allclose(losses, sigmoid_loop(gamma, weights), rtol=1e-4)
  assert 0 < known.numpy().sum() < known.numpy().size


def test_the_focal_loss_is_keras_s():
  rows = CLASSES >= 0
  keras = tf.keras.losses.CategoricalFocalCrossentropy(
    alpha=1.0, gamma=2.0, from_logits=True, reduction="none"
  )
  losses, _ = supervised.masked_loss(
    LOGITS, tf.constant(CLASSES), focal_gamma=2.0
  )
  expected = keras(tf.one_hot(CLASSES[rows], 3), LOGITS[rows])
  np.testing.assert_allclose(losses[rows], expected, rtol=1e-4)
  keras = tf.keras.losses.BinaryFocalCrossentropy(
    gamma=2.0, from_logits=True, reduction="none"
  )
  labels = np.abs(np.nan_to_num(FINDINGS))
  losses, _ = supervised.masked_loss(
    LOGITS, tf.constant(labels), focal_gamma=2.0
  )
  expected = keras(labels[..., None], LOGITS[..., None])
  np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 0.01, 1.0, 2.0])
@pytest.mark.parametrize("labels", [[0, 1], [[1.0, 0.0], [1.0, np.nan]]])
def test_saturated_logits_have_finite_gradients(gamma, labels):
  logits = tf.constant([[1e4, -1e4], [200.0, 0.0]])
  labels = tf.constant(labels, tf.float32 if labels[0] != 0 else tf.int64)
  with tf.GradientTape() as tape:
    tape.watch(logits)
    losses, _ = supervised.masked_loss(logits, labels, focal_gamma=gamma)
  assert np.isfinite(losses).all()
  assert np.isfinite(tape.gradient(losses, logits)).all()


@pytest.mark.parametrize(
  ("words", "match"),
  [
    ({"focal_gamma": -1.0}, "focal_gamma"),
    ({"class_weights": [1.0, 1.0]}, r"\(3,\)"),
    ({"class_weights": np.ones((2, 3))}, r"\(3,\)"),
  ],
)
def test_bad_arguments(words, match):
  with pytest.raises(ValueError, match=match):
    supervised.masked_loss(LOGITS, tf.constant(CLASSES), **words)


@pytest.mark.parametrize(
  ("policy", "value"), [("ignore", -1), ("zeros", 0), ("ones", 1)]
)
def test_uncertain_labels_follow_the_policy(policy, value):
  labels = tf.constant([1.0, 0.0, -1.0, np.nan])
  resolved = supervised.resolve_uncertain(labels, policy)
  np.testing.assert_array_equal(resolved, [1, 0, value, np.nan])
  classes = tf.constant([2, -1], tf.int64)
  np.testing.assert_array_equal(
    supervised.resolve_uncertain(classes, policy), [2, -1]
  )


def test_an_unknown_policy_is_an_error():
  with pytest.raises(ValueError, match="twos"):
    supervised.resolve_uncertain(tf.zeros(2), "twos")


def test_balanced_weights():
  labels = np.repeat([0, 1, 2], [5, 3, 12])
  expected = class_weight.compute_class_weight(
    "balanced", classes=np.arange(3), y=labels
  )
  np.testing.assert_allclose(
    supervised.balanced_class_weights([5, 3, 12]), expected, rtol=1e-6
  )
  # Class 1 never occurs: as if there were two classes.
  np.testing.assert_allclose(
    supervised.balanced_class_weights([4, 0, 12]), [2, 0, 2 / 3], rtol=1e-6
  )
  # Findings: 6 + 2, always negative, never labelled.
  np.testing.assert_allclose(
    supervised.balanced_class_weights([[6, 5, 0], [2, 0, 0]]),
    [[8 / 12, 1, 0], [2, 0, 0]],
    rtol=1e-6,
  )


def test_known_labels_are_counted():
  classes = np.array([2, 0, -1, 2])
  np.testing.assert_array_equal(
    supervised.count_labels(classes, 4), [1, 0, 2, 0]
  )
  findings = tf.constant([[1.0, 0.0], [-1.0, 0.0], [np.nan, 1.0], [1.0, 0.0]])
  np.testing.assert_array_equal(
    supervised.count_labels(findings, 2), [[0, 3], [2, 1]]
  )
