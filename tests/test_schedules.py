"""Learning-rate schedule at its ends, and its scaling to the batch."""

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.optimization import schedules


def rates(steps, **kwargs):
  schedule = schedules.WarmUpCosine(2.0, **kwargs)
  return [float(schedule(tf.constant(s, tf.int64))) for s in steps]


def test_warm_up_then_cosine():
  got = rates([0, 5, 10, 60, 110, 500], warmup_steps=10, total_steps=110)
  np.testing.assert_allclose(got, [0, 1, 2, 1, 0, 0], atol=1e-6)


def test_without_warm_up_it_starts_at_the_peak():
  got = rates([0, 50, 100], warmup_steps=0, total_steps=100)
  np.testing.assert_allclose(got, [2, 1, 0], atol=1e-6)


def test_warm_up_longer_than_the_run_only_rises():
  got = rates([0, 5, 9], warmup_steps=10, total_steps=5)
  np.testing.assert_allclose(got, [0, 1, 1.8], atol=1e-6)


def test_zero_steps_is_finite():
  assert np.isfinite(rates([0, 1], warmup_steps=0, total_steps=0)).all()


@pytest.mark.parametrize(
  ("scaling", "expected"), [("linear", 0.6), ("sqrt", 6.7882251), ("none", 0.3)]
)
def test_scaling_to_the_batch(scaling, expected):
  got = schedules.scaled_learning_rate(0.3, batch_size=512, scaling=scaling)
  np.testing.assert_allclose(got, expected)


def test_unknown_scaling_and_negative_steps_are_named():
  with pytest.raises(ValueError, match="Expected scaling"):
    schedules.scaled_learning_rate(0.3, batch_size=1, scaling="cubic")
  with pytest.raises(ValueError, match="warmup_steps"):
    schedules.WarmUpCosine(1.0, warmup_steps=-1, total_steps=1)
