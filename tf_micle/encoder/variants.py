"""Variants of the ResNet: what code bases do each in its own way.

Weights that were trained in one of them give their features in that one only,
so a network is built in the variant of the weights that it starts from.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

DEFAULT = "simclr"


@dataclasses.dataclass(frozen=True)
class Variant:
  """How one code base builds a ResNet; where SimCLR does not, in each field.

  Attributes:
    input_scale: images in [0, 1] are multiplied by this first,
    input_mean: then, red, green, blue, this is subtracted,
    input_std: and they are divided by this,
    reverse_channels: and put in the order blue, green, red.
    conv_bias: whether convolutions have a bias.
    stride_in_first: whether a bottleneck's stride is in its first 1x1
      convolution (He et al. 2015), instead of its 3x3.
    projects_first: whether the first block of all has a projection as its
      shortcut though it changes no shape; bottlenecks have one anyway.
    pad_both_sides: whether max-pooling pads images of even size above and left
      too, instead of only below and right.
    batch_norm_epsilon: added to variances.
  """

  input_scale: float = 1.0
  input_mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
  input_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
  reverse_channels: bool = False
  conv_bias: bool = False
  stride_in_first: bool = False
  projects_first: bool = True
  pad_both_sides: bool = False
  batch_norm_epsilon: float = 1e-5

  @property
  def normalises(self) -> bool:
    """Whether images change before the first convolution."""
    own = (self.input_scale, self.input_mean, self.input_std)
    return own != (1.0, (0.0,) * 3, (1.0,) * 3) or self.reverse_channels


VARIANTS = {
  "simclr": Variant(),
  # tf.keras.applications ResNet50, 101, 152, with Caffe's colours.
  "keras": Variant(
    input_scale=255.0,
    input_mean=(123.68, 116.779, 103.939),
    reverse_channels=True,
    conv_bias=True,
    stride_in_first=True,
    pad_both_sides=True,
    batch_norm_epsilon=1.001e-5,
  ),
  # torchvision's, with the colours' mean and deviation in ImageNet.
  "torch": Variant(
    input_mean=(0.485, 0.456, 0.406),
    input_std=(0.229, 0.224, 0.225),
    projects_first=False,
    pad_both_sides=True,
  ),
}


class InputNormalisation(tf.keras.layers.Layer):
  """Images as a variant's weights know them; same shape, float32.

  It is inside the encoder, so that views are in [0, 1] whatever the weights.
  """

  def __init__(self, variant: Variant, **kwargs):
    super().__init__(dtype="float32", **kwargs)
    self._variant = variant

  def call(self, images):
    variant = self._variant
    images = images * variant.input_scale - tf.constant(variant.input_mean)
    images /= tf.constant(variant.input_std)
    return images[..., ::-1] if variant.reverse_channels else images
