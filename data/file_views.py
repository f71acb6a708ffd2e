"""An image file to the view that evaluation has of it.

The builder cleans an image before it is stored, and evaluation cuts the central
view of what was stored. Both happen here at once, so that what a model says of
a file is what it says of the file's record.
"""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf
from absl import logging

from data import access, dataset_json, geometry
from data.builder.image_bytes import clean_image

DEFAULT_MAX_SIDE = 512
# TFDS's images are not shrunk before they are cut.
_AS_IT_IS = 1 << 30


@dataclasses.dataclass(frozen=True)
class FileViews:
  """Makes views of files; calling it makes one.

  Attributes:
    views: `geometry.ViewOptions`; only what the central view needs counts.
    max_side: larger images are shrunk to this many pixels first.
  """

  views: geometry.ViewOptions
  max_side: int

  def __call__(self, image):
    """Returns the central view of an image.

    Args:
      image: a path, or the bytes of a file, of any format that the builder
        takes.

    Returns:
      uint8 (image_size, image_size, 3), a NumPy array.

    Raises:
      image_bytes.BadImageError: with the reason, which names no file.
    """
    return self.decoded(clean_image(image, self.max_side).data).numpy()

  def decoded(self, encoded):
    """Returns the central view of cleaned, encoded bytes, a string ()."""
    return geometry.center_view(geometry.decode(encoded), self.views)


def of_run(flags, max_side=None):
  """Returns the `FileViews` of a run.

  Args:
    flags: the run's, as its flags.json has them.
    max_side: larger images are shrunk to it; None: as those of the run's data
      were, and to `DEFAULT_MAX_SIDE` where the data are no longer there.
  """
  views = geometry.ViewOptions(
    image_size=flags["image_size"], resize_method=flags["resize_method"]
  )
  if max_side is None and flags["dataset"]:
    max_side = _AS_IT_IS
  elif max_side is None:
    folder = access.DEMO_DATA if flags["demo"] else flags["data_dir"]
    max_side = stored_max_side(folder)
  if max_side is None:
    logging.warning(
      "The data of the run are not there to tell how images were shrunk: "
      "taking %d pixels.",
      DEFAULT_MAX_SIDE,
    )
  return FileViews(views, max_side or DEFAULT_MAX_SIDE)


def stored_max_side(data_dir):
  """Returns the `--max_side` that records were built with; None if unknown."""
  path = os.path.join(data_dir or "", dataset_json.FILE_NAME)
  if not data_dir or not os.path.isfile(path):
    return None
  try:
    description = dataset_json.load(data_dir)
  except dataset_json.DatasetError:
    return None
  return description.options.get("max_side")


def batches(encoded, file_views, *, batch_size):
  """Returns batches of views from a stream of cleaned images.

  Args:
    encoded: function without arguments; returns an iterator of (position,
      encoded bytes). It is taken as far as batches are asked for, and a few
      batches ahead.
    file_views: `FileViews`.
    batch_size: views in a batch; the last one may have fewer.

  Returns:
    `tf.data.Dataset` of (positions int64 (b,), views uint8
    (b, image_size, image_size, 3)), in the order of the stream.
  """
  images = tf.data.Dataset.from_generator(
    encoded,
    output_signature=(
      tf.TensorSpec((), tf.int64),
      tf.TensorSpec((), tf.string),
    ),
  )

  @tf.autograph.experimental.do_not_convert
  def to_view(position, image):
    return position, file_views.decoded(image)

  images = images.map(to_view, tf.data.AUTOTUNE, deterministic=True)
  return images.batch(batch_size).prefetch(2)
