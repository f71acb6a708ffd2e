"""Geometry on the host, in uint8: decode, crop, resize, flip, rotate.

TensorFlow Addons' transforms do not compile under XLA and want the host; this
is the one file that imports it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings

import tensorflow as tf

RESIZE_METHODS = ("bicubic", "bilinear")

# SimCLR evaluates on the central 87.5% of a side, but on whole small images.
_EVAL_CROP_PROPORTION = 0.875
_SMALL_IMAGE_SIZE = 32


@dataclasses.dataclass(frozen=True)
class ViewOptions:
  """How a view is cut from an image.

  Attributes:
    image_size: pixels a side of the square view.
    min_crop_area: smallest share of the image's area in a crop, in (0, 1].
      SimCLR's is 0.08; small lesions and small images need gentler crops.
    resize_method: one of `RESIZE_METHODS`; SimCLR's is bicubic.
    horizontal_flip: whether half the views are mirrored left to right.
    rotation_degrees: views turn by an angle uniform in +- this; 0 is off.
  """

  image_size: int
  min_crop_area: float = 0.08
  resize_method: str = "bicubic"
  horizontal_flip: bool = True
  rotation_degrees: float = 0.0


def decode(encoded):
  """Decodes a JPEG, PNG, BMP or GIF string () to uint8 (h, w, 3)."""
  image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
  image.set_shape((None, None, 3))
  return image


def random_view(image, seed, options):
  """Cuts one random view: crop, resize, flip, rotate (SimCLR, appendix A).

  The crop's area share is uniform in [min_crop_area, 1], its aspect ratio in
  [3/4, 4/3]; the flip is left-right with probability one half.

  Args:
    image: uint8 (h, w, 3).
    seed: int64 (2,), for stateless draws.
    options: `ViewOptions`.

  Returns:
    uint8 (image_size, image_size, 3).
  """
  seeds = tf.random.split(seed, 3)
  image = _random_crop(image, seeds[0], options.min_crop_area)
  image = _resize(image, options)
  if options.horizontal_flip:
    image = tf.image.stateless_random_flip_left_right(image, seeds[1])
  if options.rotation_degrees:
    image = _random_rotation(image, seeds[2], options.rotation_degrees)
  return image


def center_view(image, options):
  """Cuts the view that evaluation uses: central crop, resize, no chance.

  Args:
    image: uint8 (h, w, 3).
    options: `ViewOptions`.

  Returns:
    uint8 (image_size, image_size, 3).
  """
  if options.image_size > _SMALL_IMAGE_SIZE:
    height, width = tf.unstack(tf.shape(image)[:2])
    shorter = tf.cast(tf.minimum(height, width), tf.float32)
    side = tf.cast(tf.round(shorter * _EVAL_CROP_PROPORTION), tf.int32)
    side = tf.maximum(side, 1)
    top, left = (height - side) // 2, (width - side) // 2
    image = tf.image.crop_to_bounding_box(image, top, left, side, side)
  return _resize(image, options)


def center_steps(options):
  """Returns what `center_view` does, a line a step."""
  size = options.image_size
  steps = [f"resize to {size} x {size}, {options.resize_method}"]
  if size > _SMALL_IMAGE_SIZE:
    part = f"{_EVAL_CROP_PROPORTION:.1%}"
    steps.insert(0, f"cut the central square, {part} of the shorter side")
  return steps


def _random_crop(image, seed, min_area):
  begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
    tf.shape(image),
    bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
    seed=seed,
    min_object_covered=0.0,
    aspect_ratio_range=(3 / 4, 4 / 3),
    area_range=(min_area, 1.0),
    max_attempts=100,
    use_image_if_no_bounding_boxes=True,
  )
  return tf.slice(image, begin, size)


def _resize(image, options):
  size = options.image_size
  image = tf.image.resize(image, (size, size), options.resize_method)
  # Bicubic overshoots: saturate before the cast wraps round.
  image = tf.saturate_cast(tf.round(image), tf.uint8)
  return tf.ensure_shape(image, (size, size, 3))


def _random_rotation(image, seed, degrees):
  limit = math.radians(degrees)
  angle = tf.random.stateless_uniform((), seed, -limit, limit)
  return _addons().image.rotate(image, angle, interpolation="bilinear")


@functools.cache
def _addons():
  """Imports TensorFlow Addons, less its notice of the end of its life."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    import tensorflow_addons
  return tensorflow_addons
