"""Precisions and rematerialisation: what they change, and what they do not."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from tf_micle.contrastive.build import build_contrastive_model
from tf_micle.encoder import residual_blocks
from tf_micle.encoder.build import seed_initialisers
from tf_micle.system import jit, precision
from tf_micle.system.input_error import InputError

WORDS = {"steps_per_epoch": 10, "train_steps": 10}
SIZE = 16


def batch(pairs=4):
  draw = np.random.default_rng(0)
  views = draw.integers(0, 256, (pairs, 2, SIZE, SIZE, 3), np.uint8)
  return {"views": tf.constant(views), "label": tf.zeros((pairs, 2), tf.int64)}


def fit(strategy=None, **changes):
  """Returns the logged values of a step and the model."""
  strategy = strategy or tf.distribute.get_strategy()
  with strategy.scope():
    model, _ = build_contrastive_model(tiny.options(**changes), **WORDS)
  data = tf.data.Dataset.from_tensors(batch()).unbatch().batch(4)
  values = model.fit(data, verbose=0).history
  return {name: value[-1] for name, value in values.items()}, model


class FakeTpu(tf.distribute.TPUStrategy):
  """A strategy that says that it is a TPU's."""

  def __init__(self):
    pass


@pytest.mark.parametrize(
  ("capabilities", "cpu", "expected"),
  [
    ([], "sse avx2 avx512f", "float32"),
    ([], "avx512f avx512_bf16 ", "bfloat16"),
    ([], "amx_bf16 amx_tile", "bfloat16"),
    ([(7, 5)], "avx512_bf16", "float32"),
    ([(9, 0), (8, 0)], "", "bfloat16"),
    ([(9, 0), (7, 0)], "", "float32"),
    ([None], "", "float32"),
  ],
)
def test_auto_takes_what_the_device_has_units_for(
  capabilities, cpu, expected, monkeypatch
):
  monkeypatch.setattr(
    tf.config, "list_physical_devices", lambda kind: capabilities
  )
  monkeypatch.setattr(
    tf.config.experimental,
    "get_device_details",
    lambda gpu: {"compute_capability": gpu} if gpu else {},
  )
  monkeypatch.setattr(precision, "_cpu_flags", lambda: cpu)
  strategy = tf.distribute.get_strategy()
  assert precision.choose("auto", strategy)[0] == expected
  assert precision.choose("float16", strategy)[0] == "float16"
  assert precision.choose("auto", FakeTpu())[0] == "bfloat16"


def check_close_to_float32(strategy, **changes):
  expected, _ = fit(**{**changes, "precision": "float32"})
  found, model = fit(strategy, **changes)
  assert {v.dtype for v in model.trainable_variables} == {tf.float32}
  assert model.encoder.layers[-2].compute_dtype == changes["precision"]
  np.testing.assert_allclose(
    found["contrastive_loss"], expected["contrastive_loss"], rtol=0.05
  )
  assert found["contrastive_loss"] != expected["contrastive_loss"]


@pytest.mark.parametrize("micro_batch_size", [None, 2])
@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_a_step_is_close_to_that_in_float32(name, micro_batch_size, eagerly):
  check_close_to_float32(
    None, precision=name, micro_batch_size=micro_batch_size
  )


def test_float16_skips_a_step_that_overflows_and_halves_the_scale(eagerly):
  _, fresh = fit(precision="float16")
  scale = fresh.optimizer.loss_scale.numpy()
  weights = [w.numpy() for w in fresh.encoder.trainable_variables]
  fresh.optimizer.apply_gradients(
    (tf.fill(w.shape, np.inf), w) for w in fresh.encoder.trainable_variables
  )
  assert fresh.optimizer.loss_scale.numpy() == scale / 2
  assert fresh.optimizer.iterations.numpy() == 2
  for before, after in zip(weights, fresh.encoder.trainable_variables):
    np.testing.assert_array_equal(after, before)


def block_step(strategy, sk_ratio, remat):
  """Returns gradients of a block, on one replica, and its statistics."""
  seed_initialisers(0)
  with strategy.scope():
    inputs = tf.keras.Input((8, 8, 6))
    layer = residual_blocks.BottleneckBlock(
      4, 2, True, sk_ratio, 0.9, sync_batch_norm=True, remat=remat
    )
    model = tf.keras.Model(inputs, layer(inputs))

  def step():
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    x = tf.random.stateless_normal((5, 8, 8, 6), tf.stack([replica, 1]))
    with tf.GradientTape() as tape:
      tape.watch(x)
      outputs = model(x, training=True)
      loss = tf.reduce_sum(tf.sin(3 * outputs))
    return outputs, tape.gradient(loss, [x, *model.trainable_variables])

  found = tf.function(lambda: strategy.run(step))()
  found = [
    strategy.experimental_local_results(x)[-1] for x in tf.nest.flatten(found)
  ]
  return found, [v.numpy() for v in model.non_trainable_variables]


@pytest.mark.parametrize("sk_ratio", [0.0, 0.0625])
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_block_that_runs_again_is_the_same(replicas, sk_ratio, two_replicas):
  strategy = two_replicas if replicas == 2 else tf.distribute.get_strategy()
  expected, statistics = block_step(strategy, sk_ratio, False)
  found, again = block_step(strategy, sk_ratio, True)
  for a, b in zip(expected, found):
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
  for a, b in zip(statistics, again):
    np.testing.assert_allclose(b, a, rtol=1e-5)


def test_a_step_that_rematerialises_is_the_plain_one(monkeypatch):
  blocks, again = [], tf.recompute_grad
  monkeypatch.setattr(
    tf, "recompute_grad", lambda block: blocks.append(block) or again(block)
  )
  expected, plain = fit()
  assert not blocks
  found, remat = fit(remat=True)
  assert len(blocks) >= 8  # Those of a ResNet-18.
  for name, value in expected.items():
    np.testing.assert_allclose(found[name], value, rtol=1e-4)
  for a, b in zip(plain.get_weights(), remat.get_weights()):
    np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4)


def test_a_step_is_compiled_where_that_was_asked_for_and_can_be(two_replicas):
  alone = tf.distribute.get_strategy()
  assert [jit.choose(name, alone) for name in jit.CHOICES] == [
    *("off", "on", "off")
  ]
  assert jit.choose("auto", two_replicas) == "off"
  assert jit.choose("auto", FakeTpu()) == "off"
  with pytest.raises(InputError, match="--jit=on with 2"):
    jit.choose("on", two_replicas)
