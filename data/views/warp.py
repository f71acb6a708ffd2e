"""Rotation and elastic deformation of views on the host.

TensorFlow Addons rotates where it is installed; this is the one file that
imports it.
"""

from __future__ import annotations

import functools
import math
import warnings

import tensorflow as tf

# Elastic deformation as in U-Net (Ronneberger et al. 2015, arXiv 1505.04597,
# section 3.1): a grid of displacements of 10 pixels, of images of 512.
_ELASTIC_GRID, _ELASTIC_SPREAD = 3, 10 / 512


def random_warp(image, seed, options):
  """Resizes, deforms and turns an image by `sample`.

  Args:
    image: uint8 (h, w, 3).
    seed: int64 (2,), for stateless draws.
    options: `geometry.ViewOptions`.
  """
  size, flow = options.image_size, None
  angle = _angle(seed, options) if options.rotation_degrees else None
  if options.elastic:
    grid, seed = (_ELASTIC_GRID, _ELASTIC_GRID, 2), tf.random.fold_in(seed, 1)
    grid = tf.random.stateless_normal(grid, seed, 0.0, _ELASTIC_SPREAD * size)
    flow = tf.image.resize(grid, (size, size), "bicubic")
  return sample(image, size, angle, flow)


def random_rotation(view, seed, options):
  """Turns a view, uint8 (h, w, 3), by an angle as `random_warp` draws it."""
  rotate = _addons().image.rotate if _addons() else rotate_without_addons
  return rotate(view, _angle(seed, options), interpolation="bilinear")


def sample(image, size, angle=None, flow=None):
  """Samples a view from an image once, bilinearly.

  With neither angle nor flow it is `tf.image.resize`, rounded.

  Args:
    image: uint8 (h, w, 3).
    size: pixels a side of the view.
    angle: float32 (), as in `rotate_without_addons`; black lies beyond.
    flow: float32 (size, size, 2), how far above and left of a pixel, in the
      view before rotation, it is taken from. The edge's pixels lie beyond.

  Returns:
    uint8 (size, size, 3).
  """
  line = tf.range(size, dtype=tf.float32)
  axes = tf.meshgrid(line, line, indexing="ij")  # Rows and columns, (s, s).
  inside = None
  if angle is not None:
    cos, sin, right, down = _rotation(angle, size, size)
    y, x = axes
    axes = [sin * x + (cos * y + down), cos * x - (sin * y - right)]
    # Bilinear sampling fades out beyond the last pixel.
    beyond = [tf.maximum(-x, x - (size - 1.0)) for x in axes]
    y, x = [1.0 - tf.clip_by_value(b, 0.0, 1.0) for b in beyond]
    inside = _for_colours(y * x)
  if flow is not None:
    axes = [x - moved for x, moved in zip(axes, tf.unstack(flow, axis=2))]
  lengths = tf.unstack(tf.shape(image)[:2])
  before, after, shares = [], [], []
  for x, length in zip(axes, lengths):
    scale = tf.cast(length, tf.float32) / size
    x = x * scale + (scale - 1.0) / 2.0  # Of the view to of the image.
    x = tf.clip_by_value(x, 0.0, tf.cast(length - 1, tf.float32))
    shares.append(_for_colours(x - tf.floor(x)))
    before.append(tf.reshape(tf.cast(x, tf.int32), (-1,)))
    after.append(tf.minimum(before[-1] + 1, length - 1))
  pixels = tf.reshape(image, (-1, 3))

  def of_row(row):
    row *= lengths[1]
    left = tf.cast(tf.gather(pixels, row + before[1]), tf.float32)
    right = tf.cast(tf.gather(pixels, row + after[1]), tf.float32)
    return shares[1] * (right - left) + left

  top = of_row(before[0])
  view = shares[0] * (of_row(after[0]) - top) + top  # (size * size, 3)
  view = view if inside is None else view * inside
  return tf.reshape(tf.cast(tf.round(view), tf.uint8), (size, size, 3))


def _for_colours(weights):
  """Repeats weights, n of them, to (n, 3): broadcasting would take longer."""
  return tf.reshape(weights, (-1, 1)) @ tf.ones((1, 3))


def rotate_without_addons(image, angle, interpolation):
  """Rotates as `tensorflow_addons.image.rotate` does, to the bit.

  Args:
    image: uint8 (h, w, 3).
    angle: float32 (), counterclockwise, in radians, about the image's middle.
    interpolation: 'bilinear' or 'nearest'. Zeros lie beyond the edges.

  Returns:
    uint8 (h, w, 3).
  """
  shape = tf.shape(image)[:2]
  cos, sin, right, down = _rotation(angle, *tf.unstack(shape))
  return tf.raw_ops.ImageProjectiveTransformV3(
    images=image[None],
    transforms=tf.stack([cos, -sin, right, sin, cos, down, 0.0, 0.0])[None],
    output_shape=shape,
    fill_value=0.0,
    interpolation=interpolation.upper(),
    fill_mode="CONSTANT",
  )[0]


def _angle(seed, options):
  limit = math.radians(options.rotation_degrees)
  return tf.random.stateless_uniform((), seed, -limit, limit)


def _rotation(angle, height, width):
  """Returns cosine, sine and shifts (x, y) from the output to the input."""
  x, y = tf.cast(width, tf.float32) - 1.0, tf.cast(height, tf.float32) - 1.0
  cos, sin = tf.cos(angle), tf.sin(angle)
  right = (x - (cos * x - sin * y)) / 2.0
  return cos, sin, right, (y - (sin * x + cos * y)) / 2.0


@functools.cache
def _addons():
  """Returns TensorFlow Addons, less its notice of its end; None if absent."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    try:
      import tensorflow_addons
    except ModuleNotFoundError:
      return None
  return tensorflow_addons
