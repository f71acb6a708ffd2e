"""ResNet encoder, as a Keras model with named end points.

Residual networks v1 (He et al. 2015, arXiv 1512.03385) of any width, with
SimCLR v2's selective kernels (Li et al. 2019, arXiv 1903.06586; Chen et al.
2020, arXiv 2006.10029) and the ResNet-D stem and shortcut that go with them
(He et al. 2018, arXiv 1812.01187). Structure, padding and constants are those
of google-research/simclr `tf2/`, so that its published weights give its
features; other variants are of other code bases (`variants`).
"""

from __future__ import annotations

import tensorflow as tf

from tf_micle.encoder import layers, residual_blocks, variants

_STEM_FILTERS = 64

_BLOCKS = {
  18: (residual_blocks.ResidualBlock, (2, 2, 2, 2)),
  34: (residual_blocks.ResidualBlock, (3, 4, 6, 3)),
  50: (residual_blocks.BottleneckBlock, (3, 4, 6, 3)),
  101: (residual_blocks.BottleneckBlock, (3, 4, 23, 3)),
  152: (residual_blocks.BottleneckBlock, (3, 8, 36, 3)),
  200: (residual_blocks.BottleneckBlock, (3, 24, 36, 3)),
}
DEPTHS = tuple(_BLOCKS)


def group_sizes(depth):
  """Returns the number of blocks in each group, and whether of bottlenecks."""
  block, sizes = _BLOCKS[depth]
  return sizes, block is residual_blocks.BottleneckBlock


def depth_of(sizes, *, bottlenecks):
  """Returns the depth whose groups have these many blocks; None without one."""
  known = {group_sizes(depth): depth for depth in DEPTHS}
  return known.get((tuple(sizes), bottlenecks))


def resnet(
  *,
  depth: int,
  width_multiplier: float = 1.0,
  sk_ratio: float = 0.0,
  variant: str = variants.DEFAULT,
  small_stem: bool = False,
  batch_norm_decay: float = 0.9,
  sync_batch_norm: bool = False,
  dtype: str | tf.keras.mixed_precision.Policy | None = None,
  remat: bool = False,
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
    variant: one of `variants.VARIANTS`: whose weights it can take. Selective
      kernels are SimCLR's alone.
    small_stem: for images up to 32 pixels: one 3x3 convolution and no pooling,
      in place of a 7x7 convolution of stride 2 and pooling of stride 2.
    batch_norm_decay: of BatchNorm's moving statistics, in [0, 1).
    sync_batch_norm: whether BatchNorm takes the statistics of the global batch.
      It gives up the fused kernel, and so is slower on one device.
    dtype: a Keras precision policy or its name ('mixed_bfloat16'); None is
      float32. Keras's global policy is never consulted.
    remat: whether a residual block keeps only its input in training, and runs
      again in the backward pass.
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
  _check_arguments(depth, width_multiplier, sk_ratio, variant, batch_norm_decay)
  own = variants.VARIANTS[variant]
  policy = "float32" if dtype is None else dtype
  norm = {
    "batch_norm_decay": batch_norm_decay,
    "sync_batch_norm": sync_batch_norm,
  }
  images = tf.keras.Input(
    (image_size, image_size, channels), dtype="float32", name="images"
  )
  outputs = images
  if own.normalises:
    normalise = variants.InputNormalisation(own, name="input_normalisation")
    outputs = normalise(images)
  endpoints = _stem(
    outputs,
    filters=_whole(_STEM_FILTERS * width_multiplier),
    small=small_stem,
    resnet_d=sk_ratio > 0,
    variant=own,
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
        use_projection=index == 0
        and (group > 0 or block.expansion > 1 or own.projects_first),
        sk_ratio=sk_ratio,
        remat=remat,
        variant=own,
        name=f"block_group{group + 1}_{index}",
        dtype=policy,
        **norm,
      )(outputs)
    endpoints[f"block_group{group + 1}"] = outputs
  endpoints["final_avg_pool"] = tf.keras.layers.GlobalAveragePooling2D(
    name="final_avg_pool", dtype="float32"
  )(outputs)
  return tf.keras.Model(images, endpoints, name=f"resnet{depth}")


def _stem(images, *, filters, small, resnet_d, variant, norm, policy):
  """Returns the end points before the first block."""
  bias, epsilon = variant.conv_bias, variant.batch_norm_epsilon

  def conv(outputs, filters, kernel_size, strides, name):
    layer = layers.FixedPaddingConv(
      filters, kernel_size, strides, bias, name=name, dtype=policy
    )
    return layer(outputs)

  def batch_norm(outputs, name):
    layer = layers.BatchNormRelu(
      **norm, epsilon=epsilon, name=name, dtype=policy
    )
    return layer(outputs)

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
  if variant.pad_both_sides:
    # Of what a ReLU put out, zeros change no maximum.
    outputs = tf.keras.layers.ZeroPadding2D(1, name="pool_pad", dtype=policy)(
      outputs
    )
  pool = tf.keras.layers.MaxPooling2D(
    3,
    strides=2,
    padding="valid" if variant.pad_both_sides else "same",
    name="initial_max_pool",
    dtype=policy,
  )
  return {"initial_conv": initial_conv, "initial_max_pool": pool(outputs)}


def _whole(filters: float) -> int:
  return max(round(filters), 1)


def _check_arguments(
  depth, width_multiplier, sk_ratio, variant, batch_norm_decay
):
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
  if variant not in variants.VARIANTS:
    raise ValueError(
      f"Expected variant in {tuple(variants.VARIANTS)}. "
      f"Received: variant={variant!r}"
    )
  if sk_ratio > 0 and variant != variants.DEFAULT:
    raise ValueError(
      "Expected sk_ratio of 0 in another variant than SimCLR's. "
      f"Received: sk_ratio={sk_ratio}, variant={variant!r}"
    )
  if not 0 <= batch_norm_decay < 1:
    raise ValueError(
      "Expected batch_norm_decay in [0, 1). "
      f"Received: batch_norm_decay={batch_norm_decay}"
    )
