"""The layers of which residual blocks and stems are made.

Structure, padding and constants are those of google-research/simclr `tf2/`; see
`resnet` for the papers.
"""

from __future__ import annotations

import tensorflow as tf

from tf_micle.encoder.variants import VARIANTS

_MIN_ATTENTION_FILTERS = 32
_EPSILON = VARIANTS["simclr"].batch_norm_epsilon


class FixedPaddingConv(tf.keras.layers.Layer):
  """Convolution whose padding does not depend on image size.

  TensorFlow's SAME padding of a strided convolution shifts by a pixel between
  odd and even image sizes; padding explicitly by `kernel_size - 1` in all does
  not.

  Maps (n, h, w, c) to (n, ceil(h / strides), ceil(w / strides), filters).
  """

  def __init__(
    self,
    filters: int,
    kernel_size: int,
    strides: int = 1,
    use_bias: bool = False,
    **kwargs,
  ):
    super().__init__(**kwargs)
    before = (kernel_size - 1) // 2
    after = kernel_size - 1 - before
    self.padding = (before, after) if strides > 1 else (0, 0)
    self.conv2d = tf.keras.layers.Conv2D(
      filters,
      kernel_size,
      strides=strides,
      padding="same" if strides == 1 else "valid",
      use_bias=use_bias,
      kernel_initializer=tf.keras.initializers.VarianceScaling(),
      name="conv2d",
      dtype=self.dtype_policy,
    )

  def call(self, inputs):
    if self.padding != (0, 0):
      inputs = _pad(inputs, self.padding)
    return self.conv2d(inputs)


class BatchNormRelu(tf.keras.layers.Layer):
  """Batch normalisation, then ReLU unless `relu` is False; same shape.

  Args:
    batch_norm_decay: of the moving statistics, in [0, 1).
    sync_batch_norm: whether statistics are over all replicas' images.
    relu: whether a ReLU follows.
    zero_gamma: whether the scale starts at zero instead of one, so that a
      residual block starts as its shortcut (Goyal et al. 2017, section 5.1).
    epsilon: added to variances.
  """

  def __init__(
    self,
    batch_norm_decay: float,
    sync_batch_norm: bool,
    relu: bool = True,
    zero_gamma: bool = False,
    epsilon: float = _EPSILON,
    **kwargs,
  ):
    super().__init__(**kwargs)
    self.relu = relu
    self.bn = tf.keras.layers.BatchNormalization(
      momentum=batch_norm_decay,
      epsilon=epsilon,
      gamma_initializer="zeros" if zero_gamma else "ones",
      synchronized=sync_batch_norm,
      name="bn",
      dtype=self.dtype_policy,
    )

  def call(self, inputs, training=None):
    outputs = self.bn(inputs, training=training)
    return tf.nn.relu(outputs) if self.relu else outputs


class SelectiveKernelConv(tf.keras.layers.Layer):
  """SimCLR v2's selective-kernel convolution: two 3x3 streams, mixed.

  Both streams have a 3x3 kernel (one convolution of twice the filters, split);
  a softmax over the streams, computed from the pooled sum of both, weights
  them per image and channel.

  Maps (n, h, w, c) to (n, ceil(h / strides), ceil(w / strides), filters).

  Args:
    filters: output channels.
    strides: of the 3x3 convolution.
    sk_ratio: the mixing network's hidden width over `filters`; it is at least
      32 wide.
    batch_norm_decay: see `BatchNormRelu`.
    sync_batch_norm: see `BatchNormRelu`.
  """

  def __init__(
    self,
    filters: int,
    strides: int,
    sk_ratio: float,
    batch_norm_decay: float,
    sync_batch_norm: bool,
    **kwargs,
  ):
    super().__init__(**kwargs)
    norm = (batch_norm_decay, sync_batch_norm)
    own = {"dtype": self.dtype_policy}
    hidden = max(int(filters * sk_ratio), _MIN_ATTENTION_FILTERS)
    self.filters = filters
    self.conv = FixedPaddingConv(2 * filters, 3, strides, name="conv", **own)
    self.bn = BatchNormRelu(*norm, name="bn", **own)
    self.mix_conv1 = FixedPaddingConv(hidden, 1, name="mix_conv1", **own)
    self.mix_bn1 = BatchNormRelu(*norm, name="mix_bn1", **own)
    self.mix_conv2 = FixedPaddingConv(2 * filters, 1, name="mix_conv2", **own)

  def streams(self, inputs: tf.Tensor, training=None) -> tf.Tensor:
    """Returns both streams, (n, h', w', 2, filters)."""
    outputs = self.bn(self.conv(inputs), training=training)
    height, width = outputs.shape[1:3]
    if height is None or width is None:
      height, width = tf.shape(outputs)[1], tf.shape(outputs)[2]
    return tf.reshape(outputs, (-1, height, width, 2, self.filters))

  def mixing_weights(self, streams: tf.Tensor, training=None) -> tf.Tensor:
    """Returns float32 weights (n, 1, 1, 2, filters) that sum to 1 on axis 3."""
    # In float32, as the sum over a large image does not fit in float16.
    summed = tf.cast(tf.reduce_sum(streams, axis=3), tf.float32)
    pooled = tf.reduce_mean(summed, axis=(1, 2), keepdims=True)  # (n, 1, 1, f)
    hidden = self.mix_bn1(self.mix_conv1(pooled), training=training)
    logits = self.mix_conv2(hidden)  # (n, 1, 1, 2 * f)
    logits = tf.reshape(logits, (-1, 1, 1, 2, self.filters))
    return tf.nn.softmax(tf.cast(logits, tf.float32), axis=3)

  def call(self, inputs, training=None):
    streams = self.streams(inputs, training)
    weights = self.mixing_weights(streams, training)
    return tf.reduce_sum(streams * tf.cast(weights, streams.dtype), axis=3)


class AveragePool(tf.keras.layers.Layer):
  """ResNet-D's 2x2 pooling of the shortcut; zeros pad below and right."""

  def __init__(self, strides: int, **kwargs):
    super().__init__(**kwargs)
    self.strides = strides

  def call(self, inputs):
    if self.strides == 1:
      return tf.nn.avg_pool2d(inputs, 2, 1, "SAME")
    return tf.nn.avg_pool2d(_pad(inputs, (0, 1)), 2, self.strides, "VALID")


def _pad(images: tf.Tensor, padding: tuple[int, int]) -> tf.Tensor:
  return tf.pad(images, ((0, 0), padding, padding, (0, 0)))
