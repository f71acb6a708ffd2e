"""Projection head and linear head.

SimCLR (Chen et al. 2020, arXiv 2002.05709), section 2.1: the contrastive loss
is on z = g(h), and fine-tuning starts from h; SimCLR v2 (arXiv 2006.10029),
section 2: it may start from a middle layer of g. Heads compute in float32
whatever the encoder's precision.
"""

from __future__ import annotations

import tensorflow as tf

_BATCH_NORM_EPSILON = 1e-5
_KERNEL_STDDEV = 0.01
MODES = ("none", "linear", "nonlinear")


class ProjectionHead(tf.keras.layers.Layer):
  """Dense layers without bias, each with BatchNorm; see `projection_head`.

  Attributes:
    num_layers: dense layers; `call` returns one more hidden output than that.
  """

  def __init__(
    self,
    widths: tuple[int, ...],
    batch_norm_decay: float,
    sync_batch_norm: bool,
    **kwargs,
  ):
    super().__init__(dtype="float32", **kwargs)
    self.num_layers = len(widths)
    self.dense = []
    self.bn = []
    for index, width in enumerate(widths):
      self.dense.append(
        tf.keras.layers.Dense(
          width,
          use_bias=False,
          kernel_initializer=_kernel_initializer(),
          name=f"dense{index}",
          dtype="float32",
        )
      )
      self.bn.append(
        tf.keras.layers.BatchNormalization(
          momentum=batch_norm_decay,
          epsilon=_BATCH_NORM_EPSILON,
          # A shift of z would be one more bias, which the last layer is not
          # to have.
          center=index < len(widths) - 1,
          synchronized=sync_batch_norm,
          name=f"bn{index}",
          dtype="float32",
        )
      )

  def width(self, input_dim):
    """Returns d of z (n, d) for h (n, `input_dim`)."""
    return self.dense[-1].units if self.dense else input_dim

  def build(self, input_shape):
    for dense, bn in zip(self.dense, self.bn):
      dense.build(input_shape)
      input_shape = (None, dense.units)
      bn.build(input_shape)
    super().build(input_shape)

  def call(self, inputs, training=None):
    """Maps h (n, input_dim) to z and all layers' outputs.

    Args:
      inputs: floats (n, input_dim); other precisions are cast to float32.
      training: whether BatchNorm takes the batch's own statistics.

    Returns:
      z (n, out_dim) float32, and the list [h, output of layer 1 (after ReLU),
      ..., z], all float32, from which fine-tuning takes one by position.
    """
    hiddens = [tf.cast(inputs, tf.float32)]
    for index, (dense, bn) in enumerate(zip(self.dense, self.bn)):
      outputs = bn(dense(hiddens[-1]), training=training)
      is_last = index == self.num_layers - 1
      hiddens.append(outputs if is_last else tf.nn.relu(outputs))
    return hiddens[-1], hiddens


def projection_head(
  input_dim: int,
  *,
  mode: str,
  out_dim: int = 128,
  num_layers: int = 2,
  batch_norm_decay: float = 0.9,
  sync_batch_norm: bool = False,
) -> ProjectionHead:
  """Builds the head g of z = g(h).

  Args:
    input_dim: width of h.
    mode: 'none': z is h. 'linear': one dense layer. 'nonlinear': `num_layers`
      dense layers, all but the last `input_dim` wide and with ReLU. A
      BatchNorm follows each dense layer; the last one does not shift.
    out_dim: width of z; not used by mode 'none'.
    num_layers: dense layers; only used by mode 'nonlinear'.
    batch_norm_decay: of BatchNorm's moving statistics, in [0, 1).
    sync_batch_norm: whether BatchNorm takes the statistics of the global batch.

  Returns:
    A built layer; see `ProjectionHead.call` for what it takes and returns.

  Raises:
    ValueError: if an argument is out of range.
  """
  if mode not in MODES:
    raise ValueError(f"Expected mode in {MODES}. Received: mode={mode!r}")
  if not 0 <= batch_norm_decay < 1:
    raise ValueError(
      "Expected batch_norm_decay in [0, 1). "
      f"Received: batch_norm_decay={batch_norm_decay}"
    )
  sizes = {
    "input_dim": input_dim,
    "out_dim": out_dim,
    "num_layers": num_layers,
  }
  for name, size in sizes.items():
    if size < 1:
      raise ValueError(
        f"Expected {name} of at least 1. Received: {name}={size}"
      )
  widths = {
    "none": (),
    "linear": (out_dim,),
    "nonlinear": (input_dim,) * (num_layers - 1) + (out_dim,),
  }[mode]
  head = ProjectionHead(
    widths, batch_norm_decay, sync_batch_norm, name="projection_head"
  )
  head.build((None, input_dim))
  return head


def linear_head(
  num_outputs: int, zero_init: bool = False
) -> tf.keras.layers.Dense:
  """Builds the classifier of fine-tuning, or the online linear probe.

  Args:
    num_outputs: classes, or findings.
    zero_init: whether the kernel starts at zero instead of from a normal
      distribution of standard deviation 0.01.

  Returns:
    A dense layer with bias that maps (n, f) to float32 logits
    (n, num_outputs). Its variables are made at its first call, or by `build`.

  Raises:
    ValueError: if `num_outputs` is below 1.
  """
  if num_outputs < 1:
    raise ValueError(
      f"Expected num_outputs of at least 1. Received: num_outputs={num_outputs}"
    )
  return tf.keras.layers.Dense(
    num_outputs,
    kernel_initializer="zeros" if zero_init else _kernel_initializer(),
    name="linear_head",
    dtype="float32",
  )


def _kernel_initializer():
  return tf.keras.initializers.RandomNormal(stddev=_KERNEL_STDDEV)
