"""Several positives and masks against naive loops."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.contrastive import nt_xent

PATIENTS = np.array([7, 2**62, 7, 1, 2**62, 7])
# Views a bag, and options of the loss.
CASES = {
  "masked": (2, {"patients": PATIENTS}),
  "three views": (3, {}),
  "both": (3, {"patients": PATIENTS}),
}
T = 0.4


def naive(bags, patients=None):
  """The loss and accuracy of float64 (b, k, d) views, from the definitions."""
  b, k, _ = bags.shape
  views = [(i, v / np.linalg.norm(v)) for i in range(b) for v in bags[i]]
  losses, hits = [], []
  for a, (bag, anchor) in enumerate(views):
    others = [j for j in range(b * k) if j != a]
    s = {j: anchor @ views[j][1] / T for j in others}
    positives = [j for j in others if views[j][0] == bag]
    negatives = [j for j in others if views[j][0] != bag]
    if patients is not None:
      negatives = [
        j for j in negatives if patients[views[j][0]] != patients[bag]
      ]
    total = sum(np.exp(s[j]) for j in positives + negatives)
    losses.append(np.mean([-np.log(np.exp(s[p]) / total) for p in positives]))
    hits.append(max(positives + negatives, key=s.get) in positives)
  return 2 * np.mean(losses), np.mean(hits)


def random_bags(k, d=3):
  return np.random.default_rng(k).normal(size=(len(PATIENTS), k, d))


def loss_of(z, options):
  return nt_xent.nt_xent(z, temperature=T, **options)


def with_gradient(z, options, scale=1.0):
  with tf.GradientTape() as tape:
    tape.watch(z)
    loss, metrics = loss_of(z, options)
    share = loss * scale
  return loss, metrics, tape.gradient(share, z)


@pytest.fixture(scope="module", params=CASES)
def case(request):
  """Options, float64 views, and the loss, accuracy and gradient expected."""
  k, options = CASES[request.param]
  bags, step = random_bags(k), 1e-5
  gradient = np.zeros_like(bags)
  for index in np.ndindex(*bags.shape):
    up, down = bags.copy(), bags.copy()
    up[index] += step
    down[index] -= step
    rise = naive(up, **options)[0] - naive(down, **options)[0]
    gradient[index] = rise / (2 * step)
  return options, bags, *naive(bags, **options), gradient


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("xla", [False, True])
def test_loss_accuracy_and_gradient_are_those_of_loops(
  case, monkeypatch, blocked, xla
):
  options, bags, loss, accuracy, gradient = case
  if blocked:  # The last block is not full.
    monkeypatch.setattr(nt_xent, "_MANY_CANDIDATES", 2)
    monkeypatch.setattr(nt_xent, "_BLOCK", 5)
  function = functools.partial(with_gradient, options=options)
  if xla:
    function = tf.function(function, jit_compile=True)
  found = function(tf.constant(bags, tf.float32))
  np.testing.assert_allclose(found[0], loss, rtol=1e-5)
  np.testing.assert_allclose(
    found[1]["contrastive_accuracy"], accuracy, rtol=1e-6
  )
  np.testing.assert_allclose(found[2], gradient, atol=1e-4)


def test_two_replicas_give_the_loss_and_gradient_of_one(case, two_replicas):
  options, bags, loss, accuracy, gradient = case
  half = len(bags) // 2

  def values(context):
    own = slice(context.replica_id_in_sync_group * half, None)
    return {
      "z": tf.constant(bags[own][:half], tf.float32),
      "patients": tf.constant(PATIENTS[own][:half]),
    }

  def step(z, patients):
    own = {"patients": patients} if "patients" in options else {}
    return with_gradient(z, {**options, **own}, scale=0.5)

  halves = two_replicas.experimental_distribute_values_from_function(values)
  run = tf.function(lambda both: two_replicas.run(lambda x: step(**x), (both,)))
  found = tf.nest.map_structure(
    two_replicas.experimental_local_results, run(halves)
  )
  np.testing.assert_allclose(np.mean(found[0]), loss, rtol=1e-5)
  np.testing.assert_allclose(
    np.mean(found[1]["contrastive_accuracy"]), accuracy, rtol=1e-6
  )
  np.testing.assert_allclose(tf.concat(found[2], 0), gradient, atol=1e-4)


def test_low_precision_projections_are_computed_in_float32(case):
  options, bags, *_ = case
  low = tf.cast(bags, tf.bfloat16)
  loss, _ = loss_of(low, options)
  assert loss.dtype == tf.float32
  expected, _ = naive(low.numpy().astype(float), **options)
  np.testing.assert_allclose(loss, expected, rtol=1e-4)


@pytest.mark.parametrize("blocked", [False, True])
def test_a_batch_of_one_patient_teaches_nothing(monkeypatch, blocked):
  if blocked:
    monkeypatch.setattr(nt_xent, "_MANY_CANDIDATES", 2)
  options = {"patients": np.zeros(len(PATIENTS), int)}
  z = tf.constant(random_bags(2), tf.float32)
  loss, _, gradient = with_gradient(z, options)
  np.testing.assert_allclose(loss, 0, atol=1e-6)
  np.testing.assert_allclose(gradient, np.zeros(z.shape), atol=1e-6)
