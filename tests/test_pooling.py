"""Bags of features to one: by loops; order and padding do not count."""

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.classifier import pooling
from tf_micle.encoder.build import seed_initialisers

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(3, 4, 5)).astype(np.float32)
MASK = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]], bool)


def built(mode):
  seed_initialisers(0)
  layer = pooling.BagPooling(mode)
  layer.build((None, None, 5))
  return layer


def pool_one(layer, images):
  """`images` (m, f), without padding -> (f,)."""
  if layer.mode == "mean":
    return sum(images) / len(images)
  if layer.mode == "max":
    return np.array([max(column) for column in images.T])
  v, u, w = (weight.numpy() for weight in layer.weights)
  scores = []
  for h in images:
    gate = 1 / (1 + np.exp(-(u.T @ h)))
    scores.append(np.exp((w.T @ (np.tanh(v.T @ h) * gate)).item()))
  return sum(s * h for s, h in zip(scores, images)) / sum(scores)


@pytest.mark.parametrize("mode", pooling.MODES)
def test_each_bag_is_pooled_as_the_loop_does(mode):
  layer = built(mode)
  assert len(layer.weights) == (3 if mode == "attention" else 0)
  for given in (MASK, None):
    pooled = layer(FEATURES, given)
    assert pooled.dtype == tf.float32
    used = MASK if given is not None else np.ones((3, 4), bool)
    expected = [pool_one(layer, bag[m]) for bag, m in zip(FEATURES, used)]
    np.testing.assert_allclose(pooled, expected, atol=1e-6)


@pytest.mark.parametrize("mode", pooling.MODES)
def test_the_order_of_the_images_does_not_count(mode):
  layer = built(mode)
  order = [2, 0, 3, 1]
  np.testing.assert_allclose(
    layer(FEATURES[:, order], MASK[:, order]), layer(FEATURES, MASK), atol=1e-6
  )


@pytest.mark.parametrize("mode", pooling.MODES)
def test_masked_images_have_no_influence(mode):
  layer = built(mode)
  results = []
  for padding in (0.0, 1e9, np.nan):
    features = tf.constant(np.where(MASK[..., None], FEATURES, padding))
    features = tf.cast(features, tf.float32)
    with tf.GradientTape() as tape:
      tape.watch(features)
      pooled = layer(features, MASK)
      loss = tf.reduce_sum(pooled**2)
    gradients = tape.gradient(loss, [features, *layer.trainable_variables])
    assert not gradients[0][~MASK].numpy().any()
    assert gradients[0][MASK].numpy().any()
    results.append([pooled, *gradients])
  for other in results[1:]:
    for a, b in zip(results[0], other):
      np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mode", pooling.MODES)
def test_a_bag_without_images_is_zero(mode):
  pooled = built(mode)(FEATURES, np.zeros((3, 4), bool))
  np.testing.assert_array_equal(pooled, np.zeros((3, 5)))


def test_an_unknown_mode_is_an_error():
  with pytest.raises(ValueError, match="median"):
    pooling.BagPooling("median")


def test_bags_are_padded_as_a_loop_pads_them():
  features = RNG.normal(size=(6, 5)).astype(np.float32)
  bag_of = [2, 0, 2, 2, 0, 3]  # Bag 1 has no image.
  padded, mask = pooling.pad_bags(features, bag_of, 4)
  assert padded.shape == (4, 3, 5)
  for bag in range(4):
    images = [features[i] for i, of in enumerate(bag_of) if of == bag]
    assert mask[bag].numpy().tolist() == [k < len(images) for k in range(3)]
    expected = np.zeros((3, 5), np.float32)
    if images:
      expected[: len(images)] = images
    np.testing.assert_array_equal(padded[bag], expected)


@pytest.mark.parametrize("mode", pooling.MODES)
def test_what_an_image_weighs(mode):
  """By loops; what is pooled is the weighted sum, but for the maximum."""
  layer = built(mode)
  shares = layer.shares(FEATURES).numpy()
  assert shares.shape == (3, 4)
  np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
  if mode == "max":
    highest = [[np.argmax(column) for column in bag.T] for bag in FEATURES]
    for bag, own in enumerate(highest):
      expected = [own.count(k) / 5 for k in range(4)]
      np.testing.assert_allclose(shares[bag], expected, atol=1e-6)
  else:
    pooled = (shares[..., None] * FEATURES).sum(axis=1)
    np.testing.assert_allclose(pooled, layer(FEATURES), atol=1e-6)
