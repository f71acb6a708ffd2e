"""Optimisers by name, and the weight decay of each."""

from __future__ import annotations

import tensorflow as tf

from tf_micle.optimization import lars

OPTIMIZERS = ("lars", "momentum", "adam", "adamw")


def make_optimizer(
  name,
  variables,
  learning_rate,
  *,
  momentum,
  weight_decay,
  scale_loss=False,
):
  """Returns a built optimiser and the L2 coefficient its loss must carry.

  LARS and AdamW decay kernels themselves. For the others weight decay is, as in
  SimCLR, an L2 term of the loss: `l2 * sum(w ** 2) / 2` over the kernels.

  Args:
    name: one of `OPTIMIZERS`. 'adamw' is decoupled decay (Loshchilov & Hutter
      2019, arXiv 1711.05101, algorithm 2): besides Adam's step, a kernel loses
      `learning_rate * weight_decay` of itself.
    variables: what it will update. Those of rank 0 or 1 do not decay.
    learning_rate: float or `LearningRateSchedule`.
    momentum: in [0, 1); Adam and AdamW keep their own.
    weight_decay: >= 0.
    scale_loss: whether gradients are float16 on their way, so that the loss is
      to be `scaled` and they are to be `unscaled`. A step whose gradients
      overflow is skipped, and the scale halved (Keras).

  Raises:
    ValueError: for another name.
  """
  l2 = weight_decay if name in ("momentum", "adam") else 0.0
  if name == "lars":
    optimizer = lars.LARS(
      learning_rate, momentum=momentum, weight_decay=weight_decay
    )
  elif name == "momentum":
    optimizer = tf.keras.optimizers.SGD(
      learning_rate, momentum=momentum, nesterov=True
    )
  elif name == "adam":
    optimizer = tf.keras.optimizers.Adam(learning_rate)
  elif name == "adamw":
    optimizer = tf.keras.optimizers.AdamW(
      learning_rate, weight_decay=weight_decay
    )
    # Keras takes this only before `build`.
    optimizer.exclude_from_weight_decay(
      [v for v in variables if v.shape.rank <= 1]
    )
  else:
    raise ValueError(
      f"Expected optimizer in {OPTIMIZERS}. Received: optimizer={name!r}"
    )
  if scale_loss:
    optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
  optimizer.build(variables)
  return optimizer, l2


def scaled(optimizer, loss):
  """Returns the loss to take the gradient of."""
  return optimizer.get_scaled_loss(loss) if _scales(optimizer) else loss


def unscaled(optimizer, gradients):
  """Returns the gradients of the loss, from those of what `scaled` returned."""
  if not _scales(optimizer):
    return gradients
  return optimizer.get_unscaled_gradients(gradients)


def _scales(optimizer):
  return isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)


def l2_penalty(variables):
  """Returns half the sum of squares, float32 (), of the variables of rank > 1.

  Biases and normalisation's scale and offset have rank 1: they do not decay.
  """
  kernels = [v for v in variables if v.shape.rank > 1]
  return tf.add_n([tf.nn.l2_loss(tf.cast(v, tf.float32)) for v in kernels])
