"""Augmentation on the host, in uint8: crop, resize, flip, rotation, and others.

The others are radiology's, as REMEDIS (Azizi et al. 2023, arXiv 2205.09723) has
them: histogram equalisation and elastic deformation. TensorFlow Addons does
them and rotation; it does not compile under XLA, so wants the host, and this is
the one file that imports it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings

import tensorflow as tf

from data.images.decode import decode

# Each with the pixels of an image that one of its result is made of.
_PIXELS_TOUCHED = {"bicubic": 16, "bilinear": 4}
RESIZE_METHODS = tuple(_PIXELS_TOUCHED)

# SimCLR evaluates on the central 87.5% of a side, but on whole small images.
_EVAL_CROP_PROPORTION = 0.875
_SMALL_IMAGE_SIZE = 32

# The colours of a JPEG's pixel depend on its neighbours in a block of up to 16:
# a part that is decoded alone may differ along its edge.
_JPEG_MARGIN = 16

# Elastic deformation as in U-Net (Ronneberger et al. 2015, arXiv 1505.04597,
# section 3.1): a grid of displacements of 10 pixels, of images of 512.
_ELASTIC_GRID, _ELASTIC_SPREAD = 3, 10 / 512


@dataclasses.dataclass(frozen=True)
class ViewOptions:
  """How a view is cut from an image.

  Attributes:
    image_size: pixels a side of the square view.
    min_crop_area: smallest share of the image's area that is drawn for a crop,
      in (0, 1]. SimCLR's is 0.08; small lesions and small images need gentler
      crops.
    min_object_covered: crops of less than this share of the image's area are
      drawn again, in [0, 1]. SimCLR's is 0.1.
    resize_method: one of `RESIZE_METHODS`; SimCLR's is bicubic.
    horizontal_flip: whether half the views are mirrored left to right.
    rotation_degrees: views turn by an angle uniform in +- this; 0 is off.
    vertical_flip: whether half the views are mirrored top to bottom.
    equalize: whether half the views are cut from the image in grey, its
      histogram equalised.
    elastic: whether views are deformed elastically.
  """

  image_size: int
  min_crop_area: float = 0.08
  min_object_covered: float = 0.1
  resize_method: str = "bicubic"
  horizontal_flip: bool = True
  rotation_degrees: float = 0.0
  # The repr is what it was: predictions that are half done are known by it.
  vertical_flip: bool = dataclasses.field(default=False, repr=False)
  equalize: bool = dataclasses.field(default=False, repr=False)
  elastic: bool = dataclasses.field(default=False, repr=False)


def random_views(encoded, seed, options, *, count):
  """Cuts random views: crop, resize, flip, rotate (SimCLR, appendix A).

  A crop's aspect ratio is uniform in [3/4, 4/3]. Its height is uniform too,
  from where its area is `min_crop_area` of the image's to where the image ends,
  so small shares of the area are likelier than large ones: by SimCLR's settings
  half the crops of 4:3 images are below 0.35. What is below
  `min_object_covered` is drawn again; after 100 draws the image is taken whole.
  Flips have a probability of one half, and so has equalisation, which is of the
  whole image, so that it is decoded whole.

  Args:
    encoded: string (), an image as `decode` takes it. It is decoded once, and
      of a JPEG only what the crops cover.
    seed: int64 (2,), for stateless draws.
    options: `ViewOptions`.
    count: of views.

  Returns:
    uint8 (count, image_size, image_size, 3).
  """
  # Drawn at once: an operation's overhead is felt where images are small.
  seeds = tf.unstack(tf.reshape(tf.random.split(seed, 3 * count), (-1, 3, 2)))
  # What is equalised is wanted whole.
  in_part = tf.io.is_jpeg(encoded) & (not options.equalize)
  whole = tf.cond(
    in_part,
    lambda: tf.zeros((0, 0, 3), tf.uint8),
    lambda: decode(encoded),
  )
  shape = tf.cond(
    in_part,
    lambda: tf.io.extract_jpeg_shape(encoded),
    lambda: tf.shape(whole),
  )
  crops = [_draw_crop(shape, own[0], options) for own in seeds]
  image, corner = tf.cond(
    in_part,
    lambda: _decode_around(encoded, shape, crops),
    lambda: (whole, tf.zeros(2, tf.int32)),
  )
  views = []
  for (begin, size), own in zip(crops, seeds):
    at = tf.concat([begin - corner, [0]], axis=0)
    source = _equalize_half(image, own[2]) if options.equalize else image
    view = tf.slice(source, at, tf.concat([size, [3]], axis=0))
    view = _resize(view, options)
    if options.horizontal_flip:
      view = _flip_if(own[1, 0] % 2 == 0, view, 1)
    if options.vertical_flip:
      view = _flip_if(own[1, 1] % 2 == 0, view, 0)
    if options.elastic:
      view = _elastic(view, tf.random.fold_in(own[2], 1))
    if options.rotation_degrees:
      view = _random_rotation(view, own[2], options.rotation_degrees)
    views.append(view)
  return tf.stack(views)


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


def _draw_crop(shape, seed, options):
  """Returns a crop's first row and column, (2,), and its size, (2,)."""
  begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
    shape,
    bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
    seed=seed,
    min_object_covered=options.min_object_covered,
    aspect_ratio_range=(3 / 4, 4 / 3),
    area_range=(options.min_crop_area, 1.0),
    max_attempts=100,
    use_image_if_no_bounding_boxes=True,
  )
  return begin[:2], size[:2]


def _decode_around(encoded, shape, crops):
  """Decodes the part of a JPEG that holds all crops.

  Args:
    encoded: string ().
    shape: int32 (3,), the image's.
    crops: list of what `_draw_crop` returned.

  Returns:
    uint8 (h, w, 3), equal to that part of the whole image, and int32 (2,), its
    first row and column.
  """
  begins = tf.stack([begin for begin, _ in crops])
  ends = tf.stack([begin + size for begin, size in crops])
  first = tf.reduce_min(begins, axis=0) - _JPEG_MARGIN
  last = tf.reduce_max(ends, axis=0) + _JPEG_MARGIN
  first, last = tf.maximum(first, 0), tf.minimum(last, shape[:2])
  window = tf.concat([first, last - first], axis=0)
  image = tf.io.decode_and_crop_jpeg(encoded, window, channels=3)
  return image, first


def _resize(image, options):
  size = options.image_size

  def resize(image):
    return tf.image.resize(image, (size, size), options.resize_method)

  # The kernel makes a float of a pixel each time that it touches it, so a
  # float copy pays where that is more often than once.
  touched = _PIXELS_TOUCHED[options.resize_method] * size * size * 3
  image = tf.cond(
    tf.size(image) < touched,
    lambda: resize(tf.cast(image, tf.float32)),
    lambda: resize(image),
  )
  image = tf.round(image)
  if options.resize_method == "bicubic":
    # It overshoots. (tf.saturate_cast takes several times as long.)
    image = tf.minimum(tf.maximum(image, 0.0), 255.0)
  return tf.ensure_shape(tf.cast(image, tf.uint8), (size, size, 3))


def _flip_if(condition, image, axis):
  return tf.cond(condition, lambda: tf.reverse(image, [axis]), lambda: image)


def _equalize_half(image, seed):
  """Makes one image in two grey and equalises its histogram."""

  def equalized():
    gray = tf.image.rgb_to_grayscale(image)
    return tf.image.grayscale_to_rgb(_addons().image.equalize(gray))

  drawn = tf.random.fold_in(seed, 2)[0] % 2 == 0
  return tf.cond(drawn, equalized, lambda: image)


def _elastic(view, seed):
  """Moves each pixel by what a coarse grid of random vectors has there."""
  size = view.shape[0]
  grid = tf.random.stateless_normal(
    (_ELASTIC_GRID, _ELASTIC_GRID, 2), seed, 0.0, _ELASTIC_SPREAD * size
  )
  flow = tf.image.resize(grid, (size, size), "bicubic")
  moved = _addons().image.dense_image_warp(
    tf.cast(view, tf.float32)[None], flow[None]
  )[0]
  return tf.cast(tf.round(moved), tf.uint8)


def _random_rotation(image, seed, degrees):
  limit = math.radians(degrees)
  angle = tf.random.stateless_uniform((), seed, -limit, limit)
  rotate = _addons().image.rotate if _addons() else rotate_without_addons
  return rotate(image, angle, interpolation="bilinear")


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
  y, x = tf.unstack(tf.cast(shape, tf.float32) - 1.0)
  cos, sin = tf.cos(angle), tf.sin(angle)
  # From a point of the output to one of the input, row by row.
  right = (x - (cos * x - sin * y)) / 2.0
  down = (y - (sin * x + cos * y)) / 2.0
  return tf.raw_ops.ImageProjectiveTransformV3(
    images=image[None],
    transforms=tf.stack([cos, -sin, right, sin, cos, down, 0.0, 0.0])[None],
    output_shape=shape,
    fill_value=0.0,
    interpolation=interpolation.upper(),
    fill_mode="CONSTANT",
  )[0]


@functools.cache
def _addons():
  """Imports TensorFlow Addons, less its notice of the end of its life.

  Returns:
    The package; None where it is not installed, as for Python 3.12 and later.
  """
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    try:
      import tensorflow_addons
    except ModuleNotFoundError:
      return None
  return tensorflow_addons
