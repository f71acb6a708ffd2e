"""SimCLR's ResNet encoder, as a Keras model with named end points.

Residual networks v1 (He et al. 2015, arXiv 1512.03385) of any width, with
SimCLR v2's selective kernels (Li et al. 2019, arXiv 1903.06586; Chen et al.
2020, arXiv 2006.10029) and the ResNet-D stem and shortcut that go with them
(He et al. 2018, arXiv 1812.01187). Structure, padding and constants are those
of google-research/simclr `tf2/`, so that its published weights give its
features.
"""

from __future__ import annotations

import tensorflow as tf

_BATCH_NORM_EPSILON = 1e-5
_STEM_FILTERS = 64
_MIN_ATTENTION_FILTERS = 32


class FixedPaddingConv(tf.keras.layers.Layer):
  """Convolution without bias whose padding does not depend on image size.

  TensorFlow's SAME padding of a strided convolution shifts by a pixel between
  odd and even image sizes; padding explicitly by `kernel_size - 1` in all does
  not.

  Maps (n, h, w, c) to (n, ceil(h / strides), ceil(w / strides), filters).
  """

  def __init__(
    self, filters: int, kernel_size: int, strides: int = 1, **kwargs
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
      use_bias=False,
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
  """

  def __init__(
    self,
    batch_norm_decay: float,
    sync_batch_norm: bool,
    relu: bool = True,
    zero_gamma: bool = False,
    **kwargs,
  ):
    super().__init__(**kwargs)
    self.relu = relu
    self.bn = tf.keras.layers.BatchNormalization(
      momentum=batch_norm_decay,
      epsilon=_BATCH_NORM_EPSILON,
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


class _Block(tf.keras.layers.Layer):
  """A residual block: relu(residual(x) + shortcut(x)).

  `residual` and `shortcut` are lists of layers, in order of use.

  Args:
    filters: of the block's 3x3 convolutions.
    strides: of the block as a whole.
    use_projection: whether the shortcut is a convolution instead of identity.
    sk_ratio: selective kernels and the ResNet-D shortcut, where above 0.
    batch_norm_decay: see `BatchNormRelu`.
    sync_batch_norm: see `BatchNormRelu`.
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
    **kwargs,
  ):
    super().__init__(**kwargs)
    self._norm = (batch_norm_decay, sync_batch_norm)
    self.shortcut = []
    if use_projection:
      filters_out = self.expansion * filters
      if sk_ratio > 0:
        self.shortcut.append(_AveragePool(strides, dtype=self.dtype_policy))
        strides_left = 1
      else:
        strides_left = strides
      self.shortcut += [
        self._conv(filters_out, 1, strides_left, name="shortcut_conv"),
        self._batch_norm(relu=False, name="shortcut_bn"),
      ]
    self.residual = self._residual_layers(filters, strides, sk_ratio)

  def _residual_layers(self, filters, strides, sk_ratio) -> list:
    raise NotImplementedError

  def _conv(self, *args, **kwargs):
    return FixedPaddingConv(*args, dtype=self.dtype_policy, **kwargs)

  def _batch_norm(self, **kwargs):
    return BatchNormRelu(*self._norm, dtype=self.dtype_policy, **kwargs)

  def call(self, inputs, training=None):
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

  def _residual_layers(self, filters, strides, sk_ratio):
    del sk_ratio
    return [
      self._conv(filters, 3, strides, name="conv1"),
      self._batch_norm(name="bn1"),
      self._conv(filters, 3, name="conv2"),
      self._batch_norm(relu=False, zero_gamma=True, name="bn2"),
    ]


class BottleneckBlock(_Block):
  """Block of ResNet-50 and deeper: 1x1, 3x3, 1x1 to 4 times the filters.

  Where `sk_ratio` is above 0, a `SelectiveKernelConv` is in the 3x3's place.
  See `_Block` for `Args`.
  """

  expansion = 4

  def _residual_layers(self, filters, strides, sk_ratio):
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
    return [
      self._conv(filters, 1, name="conv1"),
      self._batch_norm(name="bn1"),
      *middle,
      self._conv(self.expansion * filters, 1, name="conv3"),
      self._batch_norm(relu=False, zero_gamma=True, name="bn3"),
    ]


_BLOCKS = {
  18: (ResidualBlock, (2, 2, 2, 2)),
  34: (ResidualBlock, (3, 4, 6, 3)),
  50: (BottleneckBlock, (3, 4, 6, 3)),
  101: (BottleneckBlock, (3, 4, 23, 3)),
  152: (BottleneckBlock, (3, 8, 36, 3)),
  200: (BottleneckBlock, (3, 24, 36, 3)),
}
DEPTHS = tuple(_BLOCKS)


def resnet(
  *,
  depth: int,
  width_multiplier: float = 1.0,
  sk_ratio: float = 0.0,
  small_stem: bool = False,
  batch_norm_decay: float = 0.9,
  sync_batch_norm: bool = False,
  dtype: str | tf.keras.mixed_precision.Policy | None = None,
  image_size: int | None = None,
  channels: int = 3,
) -> tf.keras.Model:
  """Builds an encoder.

  Layers are named `block_group1_0`, `block_group1_1`, ... in order, and so can
  be frozen (`layer.trainable = False` also stops BatchNorm's moving
  statistics) up to any block.

  Args:
    depth: one of `DEPTHS`. 18 and 34 are of basic blocks, the rest of
      bottlenecks.
    width_multiplier: above 0; may be a fraction. A group has
      `round(64 * width_multiplier)`, `round(128 * width_multiplier)`, ... and
      at least 1 filters; bottlenecks put out 4 times that.
    sk_ratio: 0 is without selective kernels; SimCLR v2 uses 0.0625.
    small_stem: for images up to 32 pixels: one 3x3 convolution and no pooling,
      in place of a 7x7 convolution of stride 2 and pooling of stride 2.
    batch_norm_decay: of BatchNorm's moving statistics, in [0, 1).
    sync_batch_norm: whether BatchNorm takes the statistics of the global batch.
      It gives up the fused kernel, and so is slower on one device.
    dtype: a Keras precision policy or its name ('mixed_bfloat16'); None is
      float32. Keras's global policy is never consulted.
    image_size: height and width, or None to take any.
    channels: of the images.

  Returns:
    A model that takes float images (n, h, w, channels) in [0, 1] and returns a
    dict: 'initial_conv' (before BatchNorm), 'initial_max_pool',
    'block_group1' to 'block_group4', each (n, h', w', c) in the policy's
    compute dtype, and 'final_avg_pool', (n, f) float32.

  Raises:
    ValueError: if an argument is out of range.
  """
  _check_arguments(depth, width_multiplier, sk_ratio, batch_norm_decay)
  policy = "float32" if dtype is None else dtype
  norm = {
    "batch_norm_decay": batch_norm_decay,
    "sync_batch_norm": sync_batch_norm,
  }
  images = tf.keras.Input(
    (image_size, image_size, channels), dtype="float32", name="images"
  )
  endpoints = _stem(
    images,
    filters=_whole(_STEM_FILTERS * width_multiplier),
    small=small_stem,
    resnet_d=sk_ratio > 0,
    norm=norm,
    policy=policy,
  )
  outputs = endpoints["initial_max_pool"]
  block, sizes = _BLOCKS[depth]
  for group, size in enumerate(sizes):
    for index in range(size):
      outputs = block(
        filters=_whole(_STEM_FILTERS * 2**group * width_multiplier),
        strides=2 if group > 0 and index == 0 else 1,
        use_projection=index == 0,
        sk_ratio=sk_ratio,
        name=f"block_group{group + 1}_{index}",
        dtype=policy,
        **norm,
      )(outputs)
    endpoints[f"block_group{group + 1}"] = outputs
  endpoints["final_avg_pool"] = tf.keras.layers.GlobalAveragePooling2D(
    name="final_avg_pool", dtype="float32"
  )(outputs)
  return tf.keras.Model(images, endpoints, name=f"resnet{depth}")


def _stem(images, *, filters, small, resnet_d, norm, policy):
  """Returns the end points before the first block."""

  def conv(outputs, filters, kernel_size, strides, name):
    layer = FixedPaddingConv(
      filters, kernel_size, strides, name=name, dtype=policy
    )
    return layer(outputs)

  def batch_norm(outputs, name):
    return BatchNormRelu(**norm, name=name, dtype=policy)(outputs)

  if small:
    initial_conv = conv(images, filters, 3, 1, "initial_conv")
    pooled = batch_norm(initial_conv, "initial_bn")
    return {"initial_conv": initial_conv, "initial_max_pool": pooled}
  if resnet_d:
    half = max(filters // 2, 1)
    outputs = conv(images, half, 3, 2, "stem_conv1")
    outputs = batch_norm(outputs, "stem_bn1")
    outputs = conv(outputs, half, 3, 1, "stem_conv2")
    outputs = batch_norm(outputs, "stem_bn2")
    initial_conv = conv(outputs, filters, 3, 1, "initial_conv")
  else:
    initial_conv = conv(images, filters, 7, 2, "initial_conv")
  outputs = batch_norm(initial_conv, "initial_bn")
  pool = tf.keras.layers.MaxPooling2D(
    3, strides=2, padding="same", name="initial_max_pool", dtype=policy
  )
  return {"initial_conv": initial_conv, "initial_max_pool": pool(outputs)}


class _AveragePool(tf.keras.layers.Layer):
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


def _whole(filters: float) -> int:
  return max(round(filters), 1)


def _check_arguments(depth, width_multiplier, sk_ratio, batch_norm_decay):
  if depth not in _BLOCKS:
    raise ValueError(f"Expected depth in {DEPTHS}. Received: depth={depth}")
  if not width_multiplier > 0:
    raise ValueError(
      "Expected width_multiplier above 0. "
      f"Received: width_multiplier={width_multiplier}"
    )
  if not sk_ratio >= 0:
    raise ValueError(
      f"Expected sk_ratio of at least 0. Received: sk_ratio={sk_ratio}"
    )
  if not 0 <= batch_norm_decay < 1:
    raise ValueError(
      "Expected batch_norm_decay in [0, 1). "
      f"Received: batch_norm_decay={batch_norm_decay}"
    )
