"""NT-Xent against a naive loop, its gradient against differences."""

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.contrastive import nt_xent


def naive_nt_xent(pairs, temperature, normalize=True):
  """The losses (b, 2) and accuracy of (b, 2, d) pairs, from the definition."""
  views = [pair[k] for pair in pairs for k in (0, 1)]
  if normalize:
    views = [v / np.linalg.norm(v) for v in views]
  losses, hits = [], []
  for i, anchor in enumerate(views):
    partner = i + 1 if i % 2 == 0 else i - 1
    others = [j for j in range(len(views)) if j != i]
    similarity = {j: anchor @ views[j] / temperature for j in others}
    total = sum(np.exp(s) for s in similarity.values())
    losses.append(-np.log(np.exp(similarity[partner]) / total))
    hits.append(max(similarity, key=similarity.get) == partner)
  return np.reshape(losses, (-1, 2)), np.mean(hits)


def random_pairs(b=4, d=5, seed=0):
  return np.random.default_rng(seed).normal(size=(b, 2, d))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("b", [2, 5])
def test_loss_and_accuracy_equal_a_naive_loop(b, temperature, normalize):
  pairs = random_pairs(b)
  losses, accuracy = naive_nt_xent(pairs, temperature, normalize)
  expected = {"pairs": losses.sum(1).mean(), "anchors": losses.mean()}
  for reduction, value in expected.items():
    loss, metrics = nt_xent.nt_xent(
      tf.constant(pairs),
      temperature=temperature,
      normalize=normalize,
      reduction=reduction,
    )
    np.testing.assert_allclose(loss, value, rtol=1e-5)
    np.testing.assert_allclose(metrics["contrastive_accuracy"], accuracy)


def test_another_reduction_is_an_error():
  with pytest.raises(ValueError, match="reduction='mean'"):
    nt_xent.nt_xent(random_pairs(), temperature=0.1, reduction="mean")


def test_gradient_equals_central_differences():
  pairs, step = random_pairs(3, 4), 1e-5
  z = tf.constant(pairs, tf.float32)
  with tf.GradientTape() as tape:
    tape.watch(z)
    loss, _ = nt_xent.nt_xent(z, temperature=0.5)
  gradient = tape.gradient(loss, z).numpy()
  expected = np.zeros_like(pairs)
  for index in np.ndindex(*pairs.shape):
    up, down = pairs.copy(), pairs.copy()
    up[index] += step
    down[index] -= step
    rise = naive_nt_xent(up, 0.5)[0] - naive_nt_xent(down, 0.5)[0]
    expected[index] = rise.sum(1).mean() / (2 * step)
  np.testing.assert_allclose(gradient, expected, atol=1e-4)


def test_two_replicas_give_the_loss_and_gradient_of_one(two_replicas):
  pairs = tf.constant(random_pairs(6, 4), tf.float32)

  def gradient_of(z, scale):
    with tf.GradientTape() as tape:
      tape.watch(z)
      loss, metrics = nt_xent.nt_xent(z, temperature=0.1)
      share = loss * scale
    return loss, metrics, tape.gradient(share, z)

  whole_loss, whole_metrics, whole_gradient = gradient_of(pairs, 1.0)
  halves = two_replicas.experimental_distribute_values_from_function(
    lambda c: pairs[c.replica_id_in_sync_group * 3 :][:3]
  )
  run = tf.function(
    lambda z: two_replicas.run(lambda x: gradient_of(x, 0.5), (z,))
  )
  loss, metrics, gradient = tf.nest.map_structure(
    two_replicas.experimental_local_results, run(halves)
  )
  np.testing.assert_allclose(np.mean(loss), whole_loss, rtol=1e-6)
  np.testing.assert_allclose(
    tf.concat(gradient, 0), whole_gradient, rtol=1e-4, atol=1e-6
  )
  for name, value in whole_metrics.items():
    np.testing.assert_allclose(np.mean(metrics[name]), value, rtol=1e-5)


def test_collapse_and_uniformity_show_in_the_metrics():
  same = tf.ones((8, 2, 16))
  _, collapsed = nt_xent.nt_xent(same, temperature=0.1)
  assert collapsed["embedding_std"] < 1e-3
  np.testing.assert_allclose(
    collapsed["contrastive_entropy"], np.log(15), rtol=1e-5
  )
  _, spread = nt_xent.nt_xent(random_pairs(512, 16), temperature=0.1)
  np.testing.assert_allclose(spread["embedding_std"], 1, atol=0.02)


def test_low_precision_projections_are_computed_in_float32():
  pairs = tf.cast(random_pairs(4, 8), tf.bfloat16)
  loss, _ = nt_xent.nt_xent(pairs, temperature=0.1)
  assert loss.dtype == tf.float32
  losses, _ = naive_nt_xent(pairs.numpy().astype(float), 0.1)
  np.testing.assert_allclose(loss, losses.sum(1).mean(), rtol=1e-4)
