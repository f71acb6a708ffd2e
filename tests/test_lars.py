"""LARS optimiser against a step in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.optimization import lars, schedules

LR, MOMENTUM, DECAY, TRUST = 0.5, 0.9, 0.1, 0.01


def numpy_step(w, g, v, nesterov):
  """One step of LARS on w with velocity v; returns both anew."""
  rate = LR
  if w.ndim > 1:
    g = g + DECAY * w
    w_norm, g_norm = np.linalg.norm(w), np.linalg.norm(g)
    if w_norm > 0 and g_norm > 0:
      rate = LR * TRUST * w_norm / g_norm
  v = MOMENTUM * v + rate * g
  return w - (MOMENTUM * v + rate * g if nesterov else v), v


def make(nesterov=False):
  return lars.LARS(
    LR,
    momentum=MOMENTUM,
    weight_decay=DECAY,
    trust_coefficient=TRUST,
    nesterov=nesterov,
  )


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(
  "start",
  [
    np.array([[1.0, 2.0], [3.0, -4.0]]),  # A kernel: decay and trust ratio.
    np.array([1.0, -2.0]),  # A bias: neither.
    np.zeros((2, 2)),  # A kernel of norm zero: ratio 1.
  ],
)
def test_three_steps_equal_numpy(start, nesterov):
  variable = tf.Variable(start, dtype=tf.float32)
  optimizer = make(nesterov)
  w, v = start, np.zeros_like(start)
  for k in range(3):
    g = np.cos(np.arange(start.size).reshape(start.shape) + k)
    optimizer.apply_gradients([(tf.constant(g, tf.float32), variable)])
    w, v = numpy_step(w, g, v, nesterov)
    np.testing.assert_allclose(variable, w, rtol=1e-5)


def test_zero_gradient_without_decay_leaves_the_weight():
  variable = tf.Variable(tf.ones((2, 2)))
  lars.LARS(LR).apply_gradients([(tf.zeros((2, 2)), variable)])
  np.testing.assert_array_equal(variable, 1)


def test_config_round_trip_steps_alike():
  """A reload decays what the original decays, whatever the names are."""
  schedule = schedules.WarmUpCosine(LR, warmup_steps=0, total_steps=10)
  original = lars.LARS(schedule, momentum=0.8, weight_decay=DECAY)
  reloaded = tf.keras.optimizers.deserialize(
    tf.keras.optimizers.serialize(original)
  )
  results = []
  for optimizer in (original, reloaded):
    kernel = tf.Variable(tf.ones((2, 3)), name="batch_normalization_kernel")
    bias = tf.Variable(tf.ones((3,)), name="b")
    for _ in range(2):
      optimizer.apply_gradients(
        [(tf.ones((2, 3)), kernel), (tf.zeros((3,)), bias)]
      )
    results.append((kernel.numpy(), bias.numpy()))
  np.testing.assert_array_equal(results[0][0], results[1][0])
  np.testing.assert_array_equal(results[0][1], 1)
  assert not np.allclose(results[0][0], 1)


def test_state_survives_a_checkpoint(tmp_path):
  def run(steps, variable, optimizer):
    for _ in range(steps):
      optimizer.apply_gradients([(tf.ones((2, 2)), variable)])

  variable, optimizer = tf.Variable(tf.eye(2)), make()
  run(2, variable, optimizer)
  checkpoint = tf.train.Checkpoint(v=variable, optimizer=optimizer)
  path = checkpoint.save(str(tmp_path / "c"))
  run(1, variable, optimizer)
  other, other_optimizer = tf.Variable(tf.zeros((2, 2))), make()
  other_optimizer.build([other])
  restored = tf.train.Checkpoint(v=other, optimizer=other_optimizer)
  restored.restore(path).assert_existing_objects_matched()
  run(1, other, other_optimizer)
  np.testing.assert_array_equal(other, variable)


@pytest.mark.parametrize(
  "arguments", [{"momentum": 1.0}, {"momentum": -0.1}, {"weight_decay": -1.0}]
)
def test_bad_numbers_are_named(arguments):
  with pytest.raises(ValueError, match=f"Expected {next(iter(arguments))}"):
    lars.LARS(**arguments)
