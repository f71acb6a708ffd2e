"""Augmentation on the host, in uint8: crop, resize, flip, rotation, and others.

The others are radiology's, as REMEDIS (Azizi et al. 2023, arXiv 2205.09723) has
them: histogram equalisation and elastic deformation.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from data.images.decode import decode
from data.views import warp

# Each with the pixels of an image that one of its result is made of.
_PIXELS_TOUCHED = {"bicubic": 16, "bilinear": 4}
RESIZE_METHODS = tuple(_PIXELS_TOUCHED)

# SimCLR evaluates on the central 87.5% of a side, but on whole small images.
_EVAL_CROP_PROPORTION = 0.875
_SMALL_IMAGE_SIZE = 32

# The colours of a JPEG's pixel depend on its neighbours in a block of up to 16:
# a part that is decoded alone may differ along its edge.
_JPEG_MARGIN = 16


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
  if options.equalize:
    drawn = [tf.random.fold_in(own[2], 2)[0] % 2 == 0 for own in seeds]
    gray, table = tf.cond(
      tf.reduce_any(drawn),
      lambda: _equalization(image),
      lambda: (image[..., :1], tf.zeros((256, 3), tf.uint8)),
    )
  views = []
  for k, (begin, size) in enumerate(crops):
    at = tf.concat([begin - corner, [0]], axis=0)
    view = tf.slice(image, at, tf.concat([size, [3]], axis=0))
    if options.equalize:
      part = tf.slice(gray, at, tf.concat([size, [1]], axis=0))
      view = _look_up_if(drawn[k], table, part, view)
    views.append(_to_view(view, seeds[k], options))
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


def _to_view(crop, seeds, options):
  """Resizes, flips, deforms and turns a crop, with seeds (3, 2)."""
  warps = options.elastic or options.rotation_degrees
  # What is bilinear throughout is sampled once: sharper, though no faster.
  at_once = warps and options.resize_method == "bilinear"
  view = crop if at_once else _resize(crop, options)
  if options.horizontal_flip:
    view = _flip_if(seeds[1, 0] % 2 == 0, view, 1)
  if options.vertical_flip:
    view = _flip_if(seeds[1, 1] % 2 == 0, view, 0)
  if at_once or options.elastic:
    view = warp.random_warp(view, seeds[2], options)
  elif warps:
    view = warp.random_rotation(view, seeds[2], options)
  return view


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


def _equalization(image):
  """Returns an image in grey, (h, w, 1), and the RGB of its levels, (256, 3).

  As Pillow equalises; of few pixels, or one level, nothing changes.
  """
  gray = tf.image.rgb_to_grayscale(image)
  levels = tf.cast(gray, tf.int32)
  counts = tf.histogram_fixed_width(levels, (0, 255), 256)
  step = (tf.size(gray) - counts[tf.reduce_max(levels)]) // 255
  table = tf.cumsum(counts, exclusive=True) + step // 2
  table = tf.minimum(table // tf.maximum(step, 1), 255)
  table = tf.where(step > 0, table, tf.range(256))
  return gray, tf.tile(tf.cast(table, tf.uint8)[:, None], (1, 3))


def _look_up_if(condition, table, gray, image):
  def look_up():
    return tf.gather(table, tf.cast(gray[..., 0], tf.int32))

  return tf.cond(condition, look_up, lambda: image)
