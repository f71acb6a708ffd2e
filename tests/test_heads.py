"""Projection head and linear head against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.encoder import heads


def _features(n=8, width=6):
  rng = np.random.default_rng(0)
  return tf.constant(rng.normal(size=(n, width)), tf.float32)


def test_none_is_identity():
  head = heads.projection_head(6, mode="none")
  z, hiddens = head(_features())
  np.testing.assert_array_equal(z, _features())
  assert len(hiddens) == 1
  assert not head.variables


@pytest.mark.parametrize(
  ("mode", "num_layers", "widths"),
  [
    ("linear", 2, [6, 4]),
    ("nonlinear", 1, [6, 4]),
    ("nonlinear", 2, [6, 6, 4]),
    ("nonlinear", 3, [6, 6, 6, 4]),
  ],
)
@pytest.mark.parametrize("training", [False, True])
def test_layers_match_naive_numpy(mode, num_layers, widths, training):
  head = heads.projection_head(
    6, mode=mode, out_dim=4, num_layers=num_layers, batch_norm_decay=0.8
  )
  z, hiddens = head(_features(), training=training)

  assert [hidden.shape[1] for hidden in hiddens] == widths
  assert head.num_layers == len(widths) - 1
  np.testing.assert_array_equal(z, hiddens[-1])
  expected = _features().numpy()
  np.testing.assert_array_equal(hiddens[0], expected)
  for index, dense in enumerate(head.dense):
    expected = expected @ dense.kernel.numpy()
    if training:
      mean, variance = expected.mean(axis=0), expected.var(axis=0)
      moving = head.bn[index].moving_variance
      np.testing.assert_allclose(moving, 0.8 + 0.2 * variance, rtol=1e-5)
      expected = expected - mean
    else:
      variance = 1.0
    expected = expected / np.sqrt(variance + 1e-5)
    if index < head.num_layers - 1:
      expected = np.maximum(expected, 0)
    np.testing.assert_allclose(
      hiddens[index + 1], expected, rtol=1e-3, atol=1e-4
    )


def test_variables_are_those_of_simclr():
  head = heads.projection_head(6, mode="nonlinear", out_dim=4, num_layers=2)
  assert [dense.use_bias for dense in head.dense] == [False, False]
  assert [bn.center for bn in head.bn] == [True, False]
  assert len(head.trainable_variables) == 2 + 2 + 1
  wide = heads.projection_head(200, mode="linear", out_dim=200)
  np.testing.assert_allclose(np.std(wide.dense[0].kernel), 0.01, rtol=0.05)


def test_float32_whatever_comes_in_and_whatever_the_global_policy():
  tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
  try:
    head = heads.projection_head(6, mode="nonlinear")
    logits = heads.linear_head(3)
  finally:
    tf.keras.mixed_precision.set_global_policy("float32")
  features = tf.cast(_features(), tf.bfloat16)
  z, hiddens = head(features, training=True)
  dtypes = {x.dtype for x in [z, *hiddens, logits(features), *head.variables]}
  assert dtypes == {tf.float32}


def test_compiles_under_xla():
  head = heads.projection_head(6, mode="nonlinear", sync_batch_norm=True)
  run = tf.function(lambda h: head(h, training=True)[0], jit_compile=True)
  np.testing.assert_allclose(
    run(_features()), head(_features(), training=True)[0], rtol=1e-3, atol=1e-4
  )


def test_linear_head():
  head = heads.linear_head(3)
  logits = head(_features())
  expected = _features().numpy() @ head.kernel.numpy() + head.bias.numpy()
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
  assert np.any(head.kernel)
  assert not np.any(heads.linear_head(3, zero_init=True)(_features()))


@pytest.mark.parametrize(
  "argument",
  [
    {"mode": "mlp"},
    {"out_dim": 0},
    {"num_layers": 0},
    {"input_dim": 0},
    {"batch_norm_decay": -0.1},
  ],
)
def test_errors_say_what_was_expected(argument):
  (name,) = argument
  arguments = {"input_dim": 6, "mode": "nonlinear", **argument}
  with pytest.raises(ValueError, match=f"Expected {name} .*Received: {name}="):
    heads.projection_head(**arguments)


def test_linear_head_refuses_no_outputs():
  with pytest.raises(ValueError, match="Received: num_outputs=0"):
    heads.linear_head(0)
