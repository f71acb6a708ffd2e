"""Learning-rate schedule: linear warm-up, then cosine decay to zero."""

from __future__ import annotations

import math

import tensorflow as tf


def scaled_learning_rate(base, *, batch_size, scaling):
  """Scales a base rate to the global batch (SimCLR, appendix B.1).

  Args:
    base: the rate at batch 256 ('linear') or batch 1 ('sqrt').
    batch_size: pairs in the global batch.
    scaling: 'linear' (base * batch / 256), 'sqrt' (base * sqrt(batch)) or
      'none'.

  Returns:
    The peak learning rate.

  Raises:
    ValueError: for another `scaling`.
  """
  factors = {
    "linear": batch_size / 256,
    "sqrt": math.sqrt(batch_size),
    "none": 1.0,
  }
  if scaling not in factors:
    raise ValueError(
      f"Expected scaling in {sorted(factors)}. Received: scaling={scaling!r}"
    )
  return base * factors[scaling]


@tf.keras.utils.register_keras_serializable("tf_micle")
class WarmUpCosine(tf.keras.optimizers.schedules.LearningRateSchedule):
  """Rises linearly from 0 to `peak`, then falls by half a cosine to 0.

  At step 0 the rate is 0 (or `peak` without warm-up), at `warmup_steps` it is
  `peak`, at `total_steps` and after it is 0. Without room for decay
  (`total_steps <= warmup_steps`) it only rises. With `first_steps` it does all
  this twice: in so many steps, and again in the others.
  """

  def __init__(self, peak, *, warmup_steps, total_steps, first_steps=0):
    """Makes the schedule.

    Args:
      peak: the highest rate, >= 0.
      warmup_steps: steps of linear rise, >= 0.
      total_steps: where the decay ends, >= 0.
      first_steps: of a first phase, in [0, total_steps); 0 is one phase.

    Raises:
      ValueError: if one is negative.
    """
    if min(peak, warmup_steps, total_steps) < 0:
      raise ValueError(
        "Expected peak, warmup_steps, total_steps >= 0. Received: "
        f"{peak}, {warmup_steps}, {total_steps}"
      )
    self.peak = peak
    self.warmup_steps = warmup_steps
    self.total_steps = total_steps
    self.first_steps = first_steps

  def __call__(self, step):
    """Returns the rate, float32 (), at `step`, an integer ()."""
    step, first = tf.cast(step, tf.float32), self.first_steps
    if not first:
      return self._phase(step, self.total_steps)
    second = self._phase(step - first, self.total_steps - first)
    return tf.where(step < first, self._phase(step, first), second)

  def _phase(self, step, total_steps):
    rise = step / max(self.warmup_steps, 1)
    progress = (step - self.warmup_steps) / max(
      total_steps - self.warmup_steps, 1
    )
    fall = 0.5 * (1 + tf.cos(math.pi * tf.clip_by_value(progress, 0.0, 1.0)))
    return self.peak * tf.where(step < self.warmup_steps, rise, fall)

  def get_config(self):
    """Returns what `from_config` needs to make this schedule again."""
    return {
      "peak": self.peak,
      "warmup_steps": self.warmup_steps,
      "total_steps": self.total_steps,
      "first_steps": self.first_steps,
    }
