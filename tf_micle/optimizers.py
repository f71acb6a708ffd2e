"""The optimisers that a run can ask for."""

from __future__ import annotations

import tensorflow as tf

from tf_micle import lars

OPTIMIZERS = ("lars", "momentum", "adam")


def make_optimizer(name, learning_rate, *, momentum, weight_decay):
  """Returns an optimiser and the L2 coefficient that its loss must carry.

  LARS decays weights itself. For the others weight decay is, as in SimCLR, an
  L2 term of the loss: `l2 * sum(w ** 2) / 2` over the kernels.

  Args:
    name: one of `OPTIMIZERS`.
    learning_rate: float or `LearningRateSchedule`.
    momentum: in [0, 1); Adam keeps its own.
    weight_decay: >= 0.

  Raises:
    ValueError: for another name.
  """
  if name == "lars":
    optimizer = lars.LARS(
      learning_rate, momentum=momentum, weight_decay=weight_decay
    )
    return optimizer, 0.0
  if name == "momentum":
    optimizer = tf.keras.optimizers.SGD(
      learning_rate, momentum=momentum, nesterov=True
    )
    return optimizer, weight_decay
  if name == "adam":
    return tf.keras.optimizers.Adam(learning_rate), weight_decay
  raise ValueError(
    f"Expected optimizer in {OPTIMIZERS}. Received: optimizer={name!r}"
  )


def l2_penalty(variables):
  """Returns half the sum of squares, float32 (), of the variables of rank > 1.

  Biases and normalisation's scale and offset have rank 1: they do not decay.
  """
  kernels = [v for v in variables if v.shape.rank > 1]
  return tf.add_n([tf.nn.l2_loss(tf.cast(v, tf.float32)) for v in kernels])
