"""Preprocessing of image files to the views that a run's model takes.

They are made by the same operations that an exported model has in its graph
(`encoded_image`), so that the command line, a notebook and a server say the
same of a file.
"""

from __future__ import annotations

import dataclasses
import functools
import os

import tensorflow as tf

from data.images import windows
from data.images.image_bytes import BadImageError, decodable_bytes
from data.problems import DataError
from data.views import encoded_image, geometry


@dataclasses.dataclass(frozen=True)
class FileViews:
  """Makes views of files; calling it makes one.

  Attributes:
    views: `geometry.ViewOptions`; only what the central view needs counts.
    max_side: larger images are shrunk to this many pixels first.
    window: as the builder's `--window`.
  """

  views: geometry.ViewOptions
  max_side: int
  window: str = dataclasses.field(default=windows.FULL, repr=False)

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
      encoded = decodable_bytes(image, self.max_side, self.window)
    except BadImageError as error:
      name = "bytes" if isinstance(image, bytes) else repr(os.fspath(image))
      raise DataError(
        f"Expected an image in {name}. Received: {error}"
      ) from error
    return self._in_one_graph(encoded).numpy()

  @functools.cached_property
  def _in_one_graph(self):
    """`decoded`, traced, which takes less time than its operations alone."""
    return tf.function(
      self.decoded,
      input_signature=[tf.TensorSpec((), tf.string)],
      autograph=False,
    )

  def decoded(self, encoded):
    """Returns the view of an encoded image, as `encoded_image.to_view`."""
    return encoded_image.to_view(encoded, self.views, self.max_side)

  def batch(self, encoded):
    """Returns the views of encoded images, as `encoded_image.to_views`."""
    return encoded_image.to_views(encoded, self.views, self.max_side)

  def description(self):
    """Returns what is done to an image, in order, for people; dict for JSON."""
    size = self.views.image_size
    decode = "JPEG, PNG, BMP or a still GIF to 8 bits RGB, alpha laid on white"
    if self.window != windows.FULL:  # A graph does not know it.
      decode += f" (16 bits in full, not by --window={self.window})"
    steps = [
      f"decode {decode}",
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
