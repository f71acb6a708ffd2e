"""Preprocessing of image files to the views that a run's model takes.

They are made by the same operations that an exported model has in its graph
(`encoded_image`), so that the command line, a notebook and a server say the
same of a file.
"""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf
from absl import logging

from data.demo import dataset as demo_dataset
from data.images.image_bytes import BadImageError, decodable_bytes
from data.problems import DataError
from data.records import dataset_json
from data.views import encoded_image, geometry

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
      DataError: the image cannot be read; names it and the reason.
    """
    try:
      encoded = decodable_bytes(image, self.max_side)
    except BadImageError as error:
      name = "bytes" if isinstance(image, bytes) else repr(os.fspath(image))
      raise DataError(
        f"Expected an image in {name}. Received: {error}"
      ) from error
    return self.decoded(encoded).numpy()

  def decoded(self, encoded):
    """Returns the view of an encoded image, as `encoded_image.to_view`."""
    return encoded_image.to_view(encoded, self.views, self.max_side)

  def batch(self, encoded):
    """Returns the views of encoded images, as `encoded_image.to_views`."""
    return encoded_image.to_views(encoded, self.views, self.max_side)

  def description(self):
    """Returns what is done to an image, in order, for people; dict for JSON."""
    size = self.views.image_size
    steps = [
      "decode JPEG, PNG, BMP or a still GIF to 8 bits RGB, alpha laid on white",
      f"shrink to a longest side of {self.max_side} pixels where it is larger "
      "(Lanczos)",
      "turn upright by EXIF",
      *geometry.center_steps(self.views),
      "divide by 255",
    ]
    return {
      "image_size": size,
      "max_side": self.max_side,
      "resize_method": self.views.resize_method,
      "steps": steps,
    }


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
    folder = demo_dataset.RECORDS if flags["demo"] else flags["data_dir"]
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
  """Returns batches of views from a stream of encoded images.

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
