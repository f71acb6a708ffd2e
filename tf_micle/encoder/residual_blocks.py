"""Residual blocks.

Structure and constants are those of google-research/simclr `tf2/`, but for what
a `variants.Variant` says; see `resnet` for the papers.
"""

from __future__ import annotations

import tensorflow as tf

from tf_micle.encoder.layers import (
  AveragePool,
  BatchNormRelu,
  FixedPaddingConv,
  SelectiveKernelConv,
)
from tf_micle.encoder.variants import VARIANTS, Variant

_SIMCLR = VARIANTS["simclr"]


class _Block(tf.keras.layers.Layer):
  """A residual block: relu(residual(x) + shortcut(x)).

  `residual` and `shortcut` are lists of layers, in order of use; each kind of
  block makes its own `residual`.

  Args:
    filters: of the block's 3x3 convolutions.
    strides: of the block as a whole.
    use_projection: whether the shortcut is a convolution instead of identity.
    sk_ratio: selective kernels and the ResNet-D shortcut, where above 0.
    batch_norm_decay: see `BatchNormRelu`.
    sync_batch_norm: see `BatchNormRelu`.
    remat: whether the block keeps only its input in training, and runs again in
      the backward pass: less memory for more time, and the same gradient.
    variant: what is not as in SimCLR; `sk_ratio` above 0 is SimCLR's alone.
  """

  expansion = 1  # output channels over `filters`

  def __init__(
    self,
    filters: int,
    strides: int,
    use_projection: bool,
    sk_ratio: float,
    batch_norm_decay: float,
    sync_batch_norm: bool,
    remat: bool = False,
    variant: Variant = _SIMCLR,
    **kwargs,
  ):
    super().__init__(**kwargs)
    self._norm = (batch_norm_decay, sync_batch_norm)
    self._variant = variant
    self._remat = remat
    self.shortcut = []
    if use_projection:
      filters_out = self.expansion * filters
      if sk_ratio > 0:
        self.shortcut.append(AveragePool(strides, dtype=self.dtype_policy))
        strides_left = 1
      else:
        strides_left = strides
      self.shortcut += [
        self._conv(filters_out, 1, strides_left, name="shortcut_conv"),
        self._batch_norm(relu=False, name="shortcut_bn"),
      ]

  def _conv(self, *args, **kwargs):
    bias = self._variant.conv_bias
    return FixedPaddingConv(
      *args, use_bias=bias, dtype=self.dtype_policy, **kwargs
    )

  def _batch_norm(self, **kwargs):
    epsilon = self._variant.batch_norm_epsilon
    return BatchNormRelu(
      *self._norm, epsilon=epsilon, dtype=self.dtype_policy, **kwargs
    )

  def call(self, inputs, training=None):
    if self._remat and training:
      return self._rematerialised(inputs)
    return self._forward(inputs, training)

  def _rematerialised(self, inputs):
    runs = []

    def forward(inputs):
      runs.append(None)
      before = [tf.identity(v) for v in self.non_trainable_variables]
      outputs = self._forward(inputs, training=True)
      if len(runs) > 1:
        # The moving statistics have taken in this batch already.
        with tf.control_dependencies([outputs]):
          for variable, value in zip(self.non_trainable_variables, before):
            variable.assign(value)
      return outputs

    return tf.recompute_grad(forward)(inputs)

  def _forward(self, inputs, training):
    residual, shortcut = inputs, inputs
    for layer in self.shortcut:
      shortcut = layer(shortcut, training=training)
    for layer in self.residual:
      residual = layer(residual, training=training)
    return tf.nn.relu(residual + shortcut)


class ResidualBlock(_Block):
  """Basic block of ResNet-18 and 34: two 3x3 convolutions.

  `sk_ratio` only changes its shortcut, as in SimCLR. See `_Block` for `Args`.
  """

  def __init__(self, filters: int, strides: int, *args, **kwargs):
    super().__init__(filters, strides, *args, **kwargs)
    self.residual = [
      self._conv(filters, 3, strides, name="conv1"),
      self._batch_norm(name="bn1"),
      self._conv(filters, 3, name="conv2"),
      self._batch_norm(relu=False, zero_gamma=True, name="bn2"),
    ]


class BottleneckBlock(_Block):
  """Block of ResNet-50 and deeper: 1x1, 3x3, 1x1 to 4 times the filters.

  The stride is in the 3x3 convolution, or where the variant says so in the
  first 1x1.

  Where `sk_ratio` is above 0, a `SelectiveKernelConv` is in the 3x3's place.
  See `_Block` for `Args`.
  """

  expansion = 4

  def __init__(
    self,
    filters: int,
    strides: int,
    use_projection: bool,
    sk_ratio: float,
    *args,
    **kwargs,
  ):
    super().__init__(
      filters, strides, use_projection, sk_ratio, *args, **kwargs
    )
    first = 1
    if self._variant.stride_in_first:
      first, strides = strides, 1
    if sk_ratio > 0:
      middle = [
        SelectiveKernelConv(
          filters,
          strides,
          sk_ratio,
          *self._norm,
          name="sk_conv2",
          dtype=self.dtype_policy,
        )
      ]
    else:
      middle = [
        self._conv(filters, 3, strides, name="conv2"),
        self._batch_norm(name="bn2"),
      ]
    self.residual = [
      self._conv(filters, 1, first, name="conv1"),
      self._batch_norm(name="bn1"),
      *middle,
      self._conv(self.expansion * filters, 1, name="conv3"),
      self._batch_norm(relu=False, zero_gamma=True, name="bn3"),
    ]
