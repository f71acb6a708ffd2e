"""Blocked softmax against the plain one, values and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.contrastive import blocked_softmax, nt_xent


def both(n, m, block, seed=0):
  """Values and gradients, plain and blocked, of random embeddings."""
  draw = np.random.default_rng(seed)
  anchors = tf.constant(draw.normal(size=(n, 5)), tf.float32)
  candidates = tf.constant(draw.normal(size=(m, 5)), tf.float32)
  itself = tf.constant(draw.permutation(m)[:n], tf.int32)
  partner = (itself + 1) % m
  weight = tf.constant(draw.normal(size=n), tf.float32)
  results = []
  for function, options in (
    (blocked_softmax.values, {}),
    (blocked_softmax.blocked_values, {"block": block}),
  ):
    with tf.GradientTape() as tape:
      tape.watch([anchors, candidates])
      found = function(
        anchors, candidates, itself, partner, temperature=0.3, **options
      )
      loss = tf.reduce_sum(found[0] * weight)
    results.append([*found, *tape.gradient(loss, [anchors, candidates])])
  return results


@pytest.mark.parametrize("block", [1, 3, 4, 100])
@pytest.mark.parametrize(("n", "m"), [(12, 12), (7, 20), (1, 2)])
def test_blocks_change_nothing(n, m, block):
  for plain, blocked in zip(*both(n, m, block)):
    np.testing.assert_allclose(blocked, plain, rtol=1e-4, atol=1e-5)


def test_nt_xent_is_the_same_in_blocks(monkeypatch):
  z = tf.random.stateless_normal((9, 2, 4), (0, 1))

  def loss_and_gradient():
    with tf.GradientTape() as tape:
      tape.watch(z)
      loss, metrics = nt_xent.nt_xent(z, temperature=0.1)
    return [loss, *metrics.values(), tape.gradient(loss, z)]

  plain = loss_and_gradient()
  monkeypatch.setattr(nt_xent, "_MANY_CANDIDATES", 2)
  monkeypatch.setattr(nt_xent, "_BLOCK", 4)
  for expected, found in zip(plain, loss_and_gradient()):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
  compiled = tf.function(loss_and_gradient, jit_compile=True)
  for expected, found in zip(plain, compiled()):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
