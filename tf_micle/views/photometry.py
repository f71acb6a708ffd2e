"""Photometry: colour augmentation on the device, in float, under XLA.

SimCLR (Chen et al. 2020, arXiv 2002.05709), appendix A: per image, colour
jitter (brightness, contrast, saturation, hue in random order), then grayscale,
then Gaussian blur, each with a probability.

What is random is drawn by `draw` and used by `apply`. So a replica can draw for
the global batch and take its own rows, and a step can be replayed:

  parameters = photometry.draw(seed, global_batch, options)
  mine = tf.nest.map_structure(lambda t: t[start:stop], parameters)
  views = photometry.apply(images[start:stop], mine)
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tf_micle.views.photometry_options import PhotometryOptions

# Positions in `Jitter.order`.
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_MAX_SIGMA, _MIN_SIGMA = 2.0, 0.1
_LUMA = (0.2989, 0.5870, 0.1140)  # ITU-R BT.601, as tf.image has it.


class Jitter(NamedTuple):
  """Colour jitter of n images."""

  applied: tf.Tensor  # (n,) bool
  order: tf.Tensor  # (n, 4) int32, a permutation of BRIGHTNESS to HUE
  brightness: tf.Tensor  # (n,) factor
  contrast: tf.Tensor  # (n,) factor
  saturation: tf.Tensor  # (n,) factor
  hue: tf.Tensor  # (n,) shift in turns of the colour wheel


class Grayscale(NamedTuple):
  """Loss of colour of n images."""

  applied: tf.Tensor  # (n,) bool


class Blur(NamedTuple):
  """Gaussian blur of n images."""

  applied: tf.Tensor  # (n,) bool
  sigma: tf.Tensor  # (n,) standard deviation in pixels


class Parameters(NamedTuple):
  """All that is random. A part that is off is (), and costs nothing."""

  jitter: Jitter | tuple[()] = ()
  grayscale: Grayscale | tuple[()] = ()
  blur: Blur | tuple[()] = ()


def augment(
  images: tf.Tensor, seed: tf.Tensor, options: PhotometryOptions
) -> tf.Tensor:
  """Augments each image by its own draw: `apply` of `draw`.

  Args:
    images: uint8 (n, h, w, 3).
    seed: integers (2,).
    options: what to do.

  Returns:
    float32 (n, h, w, 3) in [0, 1].

  Raises:
    ValueError: as `apply` does.
  """
  n = images.shape[0]
  if n is None:
    n = tf.shape(images)[0]
  return apply(images, draw(seed, n, options))


def to_float(images: tf.Tensor) -> tf.Tensor:
  """Maps uint8 images of any shape to float32 in [0, 1]."""
  return tf.cast(images, tf.float32) / 255.0


def draw(seed: tf.Tensor, n: int, options: PhotometryOptions) -> Parameters:
  """Draws the parameters of `n` images.

  The same on every device, with or without XLA; turning one part off leaves the
  draws of the others as they were.

  Args:
    seed: integers (2,).
    n: number of images.
    options: ranges and probabilities.

  Returns:
    `Parameters` of tensors whose first axis is the image.
  """
  uniform = _uniform((n, 12), seed)
  sort_keys = uniform[:, :4]
  (
    u_jitter,
    u_brightness,
    u_contrast,
    u_saturation,
    u_hue,
    u_grayscale,
    u_blur,
    u_sigma,
  ) = tf.unstack(uniform[:, 4:], axis=1)  # each (n,) in [0, 1)

  jitter, grayscale, blur = (), (), ()
  if options.color_jitter_strength > 0 and options.jitter_probability > 0:
    spread = 0.8 * options.color_jitter_strength
    low, high = max(1.0 - spread, 0.0), 1.0 + spread
    jitter = Jitter(
      applied=u_jitter < options.jitter_probability,
      order=tf.argsort(sort_keys, axis=1),
      brightness=low + u_brightness * (high - low),
      contrast=low + u_contrast * (high - low),
      saturation=low + u_saturation * (high - low),
      hue=0.2 * options.color_jitter_strength * (2.0 * u_hue - 1.0),
    )
  if options.grayscale_probability > 0:
    grayscale = Grayscale(applied=u_grayscale < options.grayscale_probability)
  if options.blur_probability > 0:
    blur = Blur(
      applied=u_blur < options.blur_probability,
      sigma=_MIN_SIGMA + u_sigma * (_MAX_SIGMA - _MIN_SIGMA),
    )
  return Parameters(jitter, grayscale, blur)


def apply(images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
  """Augments images as drawn.

  Args:
    images: uint8 (n, h, w, 3); h and w static where blur is on.
    parameters: of n images.

  Returns:
    float32 (n, h, w, 3) in [0, 1].

  Raises:
    ValueError: if `images` is not such a batch.
  """
  if images.dtype != tf.uint8 or images.shape.rank != 4:
    raise ValueError(
      "Expected images of dtype uint8 and shape (n, h, w, c). "
      f"Received: images={images.dtype.name} {images.shape}"
    )
  if not any(parameters):
    return to_float(images)
  if images.shape[3] != 3:
    raise ValueError(
      f"Expected images of 3 channels. Received: shape={images.shape}"
    )
  # Rows hold whole colour planes, (n, h, 3, w): channels are then cheap to
  # take apart, and blur along either axis is one matrix product an image.
  planes = tf.transpose(to_float(images), (0, 1, 3, 2))
  if parameters.jitter:
    planes = _jitter(planes, parameters.jitter)
  if parameters.grayscale:
    planes = _grayscale(planes, parameters.grayscale)
  if parameters.blur:
    planes = _blur(planes, parameters.blur)
  return tf.transpose(planes, (0, 1, 3, 2))


def _uniform(shape: tuple[int, int], seed: tf.Tensor) -> tf.Tensor:
  """Returns float32 in [0, 1), the same on every device and under XLA.

  By default each device chooses its own algorithm, and XLA takes other bits for
  the float than TensorFlow's own kernel does; so take the bits.
  """
  bits = tf.random.stateless_uniform(
    shape, seed, None, None, tf.uint32, alg="philox"
  )
  bits = tf.bitwise.right_shift(bits, 8)  # float32 holds 24 bits.
  return tf.cast(tf.cast(bits, tf.int32), tf.float32) / 2.0**24


def _jitter(planes: tf.Tensor, jitter: Jitter) -> tf.Tensor:
  """Runs all four places in the order; an image takes part in its own way."""
  for place in range(4):
    operation = tf.where(jitter.applied, jitter.order[:, place], -1)  # (n,)
    is_brightness = operation == BRIGHTNESS
    is_contrast = operation == CONTRAST
    is_saturation = operation == SATURATION
    is_hue = operation == HUE

    # An image that is due for neither has 1 as factor and 0 as pivot: exact.
    factor = tf.where(is_brightness, jitter.brightness, 1.0)
    factor = _per_image(tf.where(is_contrast, jitter.contrast, factor))
    mean = tf.reduce_mean(planes, axis=(1, 3), keepdims=True)  # (n, 1, 3, 1)
    pivot = tf.where(_per_image(is_contrast), mean, 0.0)
    planes = _clip((planes - pivot) * factor + pivot)

    recoloured = _saturation_and_hue(
      planes,
      saturation=_per_image(tf.where(is_saturation, jitter.saturation, 1.0)),
      hue=_per_image(tf.where(is_hue, jitter.hue, 0.0)),
    )
    planes = tf.where(_per_image(is_saturation | is_hue), recoloured, planes)
  return planes


def _saturation_and_hue(
  planes: tf.Tensor, *, saturation: tf.Tensor, hue: tf.Tensor
) -> tf.Tensor:
  """Multiplies HSV saturation and turns hue without going to HSV and back.

  With V the largest channel and C = V - min, a channel is V - C w(k), where
  w(k) = clip(min(k, 4 - k), 0, 1), k = (n + 6 hue) mod 6, and n is 5, 3, 1 for
  red, green, blue. Saturation is C / V, at most 1.

  Args:
    planes: (n, h, 3, w) in [0, 1].
    saturation: factor, (n, 1, 1, 1).
    hue: shift in turns, (n, 1, 1, 1).

  Returns:
    (n, h, 3, w) in [0, 1].
  """
  red, green, blue = tf.split(planes, 3, axis=2)  # each (n, h, 1, w)
  value = tf.maximum(tf.maximum(red, green), blue)
  chroma = value - tf.minimum(tf.minimum(red, green), blue)
  divisor = tf.where(chroma > 0, chroma, 1.0)  # A gray has no hue: take 0.
  sextant = tf.where(
    value == red,
    (green - blue) / divisor,
    tf.where(
      value == green,
      2.0 + (blue - red) / divisor,
      4.0 + (red - green) / divisor,
    ),
  )  # 6 hue, in [-1, 5]
  phase = tf.reshape(tf.constant([5.0, 3.0, 1.0]), (1, 1, 3, 1))
  k = phase + (sextant + 6.0 * hue)  # (n, h, 3, w)
  k -= 6.0 * tf.floor(k / 6.0)
  weight = tf.clip_by_value(2.0 - tf.abs(k - 2.0), 0.0, 1.0)
  return value - tf.minimum(chroma * saturation, value) * weight


def _grayscale(planes: tf.Tensor, grayscale: Grayscale) -> tf.Tensor:
  weights = tf.reshape(tf.constant(_LUMA), (1, 1, 3, 1))
  gray = tf.reduce_sum(planes * weights, axis=2, keepdims=True)
  return tf.where(_per_image(grayscale.applied), gray, planes)


def _blur(planes: tf.Tensor, blur: Blur) -> tf.Tensor:
  """Convolves along both axes with a kernel of about h / 10.

  Images are reflected at their edges: SimCLR's zeros, there, draw a dark frame.
  A convolution along an axis is a product with a banded matrix, one per image,
  which is what accelerators do best.
  """
  height, channels, width = planes.shape[1:]
  radius = min(height // 10 // 2, width)
  if radius == 0:  # The kernel would be one pixel.
    return planes
  vertical = _blur_matrix(blur.sigma, height, radius)  # (n, h, h)
  horizontal = _blur_matrix(blur.sigma, width, radius)  # (n, w, w), symmetric
  rows = tf.reshape(planes, (-1, height * channels, width))
  rows = tf.matmul(rows, horizontal)  # (n, h * 3, w)
  columns = tf.reshape(rows, (-1, height, channels * width))
  blurred = tf.matmul(vertical, columns)  # (n, h, 3 * w)
  blurred = tf.reshape(blurred, (-1, height, channels, width))
  return tf.where(_per_image(blur.applied), _clip(blurred), planes)


def _blur_matrix(sigma: tf.Tensor, size: int, radius: int) -> tf.Tensor:
  """Returns (n, size, size): row i holds the kernel centred on i.

  What lies beyond an edge is folded back: pixel -1 is 0 again, -2 is 1.
  """
  variance = tf.reshape(2.0 * sigma**2, (-1, 1))  # (n, 1)
  distances = tf.range(radius + 1, dtype=tf.float32)  # one side of the kernel
  side = tf.exp(-(distances**2) / variance)  # (n, radius + 1)
  side /= 2.0 * tf.reduce_sum(side, axis=1, keepdims=True) - side[:, :1]
  i, j = tf.range(size)[:, None], tf.range(size)[None, :]
  # From i to j, and to where j is seen beyond either edge; each (size, size).
  distances_to_j = tf.abs(i - j), i + j + 1, 2 * size - 1 - i - j
  # A distance beyond the radius has no place, and is all zeros.
  taps = [tf.one_hot(d, radius + 1, axis=0) for d in distances_to_j]
  return tf.tensordot(side, tf.add_n(taps), 1)


def _per_image(values: tf.Tensor) -> tf.Tensor:
  return tf.reshape(values, (-1, 1, 1, 1))


def _clip(planes: tf.Tensor) -> tf.Tensor:
  return tf.clip_by_value(planes, 0.0, 1.0)
