"""Pretraining step: what it learns from, and what it leaves alone."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from tf_micle.contrastive.build import build_contrastive_model
from tf_micle.optimization import optimizers

WORDS = {"steps_per_epoch": 10, "train_steps": 10}


def batch(b=4, seed=0, size=16):
  rng = np.random.default_rng(seed)
  return {
    "views": tf.constant(rng.integers(0, 256, (b, 2, size, size, 3), np.uint8)),
    "patient_key": tf.range(b, dtype=tf.int64),
    "label": tf.constant(rng.integers(-1, 3, (b, 2))),
  }


def build(**changes):
  return build_contrastive_model(
    tiny.options(**changes), probe_outputs=3, **WORDS
  )


def weights(model):
  return [w.numpy() for w in model.trainable_variables]


def fit(model, batch):
  """Trains on one batch as a run does; returns the values."""
  history = model.fit(tf.data.Dataset.from_tensors(batch), verbose=0)
  return {name: value for name, (value,) in history.history.items()}


def step(model, batch):
  """As `fit` with one batch, without tracing, which takes seconds."""
  return {name: float(v) for name, v in model.train_step(batch).items()}


def test_two_replicas_step_as_one(two_replicas):
  """Loss, probe, BatchNorm, photometry and update: all of the global batch."""
  one, _ = build(optimizer="momentum")
  with two_replicas.scope():
    two, _ = build(optimizer="momentum")
  start = weights(one)
  alone, together = fit(one, batch(8)), fit(two, batch(8))
  for name, value in alone.items():
    assert together[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
  for before, a, b in zip(start, weights(one), weights(two)):
    moved = np.abs(a - before).max()
    np.testing.assert_allclose(b, a, atol=0.01 * moved + 1e-7)


def test_the_probe_does_not_reach_the_encoder():
  with_probe, _ = build()
  without, _ = build_contrastive_model(tiny.options(), probe_outputs=0, **WORDS)
  step(with_probe, batch())
  step(without, batch())
  pairs = zip(weights(with_probe.encoder), weights(without.encoder))
  for a, b in pairs:  # Two graphs: a processor may sum in another order.
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_unknown_labels_do_not_teach_the_probe():
  model, parts = build()
  unknown = {**batch(), "label": tf.fill((4, 2), tf.constant(-1, tf.int64))}
  before = weights(parts["probe"])
  values = step(model, unknown)
  assert values["probe_loss"] == 0
  for a, b in zip(before, weights(parts["probe"])):
    np.testing.assert_array_equal(a, b)


def test_the_step_is_fixed_by_seed_and_step():
  model, _ = build()
  views = batch()["views"]
  seen = model.see(views, step=3)
  assert seen.dtype == tf.float32
  assert seen.shape == views.shape
  np.testing.assert_array_equal(seen, model.see(views, step=3))
  assert np.abs(seen - model.see(views, step=4)).max() > 0.1
  other, _ = build(seed=1)
  assert np.abs(seen - other.see(views, step=3)).max() > 0.1


def test_l2_is_in_the_loss_where_the_optimiser_does_not_decay():
  values = {}
  for name in optimizers.OPTIMIZERS:
    model, parts = build(optimizer=name, weight_decay=0.5)
    penalty = 0.5 * optimizers.l2_penalty(
      parts["encoder"].trainable_variables
      + parts["projection_head"].trainable_variables
    )
    values[name] = step(model, batch()), float(penalty)
  for name, (logged, penalty) in values.items():
    extra = logged["loss"] - logged["contrastive_loss"] - logged["probe_loss"]
    expected = 0 if name in ("lars", "adamw") else penalty
    assert extra == pytest.approx(expected, rel=1e-3, abs=1e-4), name


def test_probe_accuracy_counts_known_labels_only():
  model, parts = build()
  kernel, bias = parts["probe"].variables
  kernel.assign(tf.zeros_like(kernel))
  bias.assign([0.0, 1.0, 0.0])  # It always says class 1.
  labels = tf.constant([[1], [1], [-1], [0], [2], [-1]], tf.int64)
  plain = {"views": batch(6)["views"][:, :1], "label": labels}
  data = tf.data.Dataset.from_tensor_slices(plain).batch(4)
  values = model.evaluate(data, verbose=0, return_dict=True)
  assert values == {"probe_accuracy": pytest.approx(0.5)}


def test_the_step_compiles_under_xla():
  """What a TPU would be given: static shapes, no host transforms."""
  model, parts = build()
  compiled = tf.function(model.train_step, jit_compile=True)
  values = compiled(batch())
  plain, _ = build()
  expected = plain.train_step(batch())
  assert float(values["contrastive_loss"]) == pytest.approx(
    float(expected["contrastive_loss"]), rel=1e-4
  )
  assert int(parts["optimizer"].iterations) == 1
