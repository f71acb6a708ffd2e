"""Features with thumbnails for TensorBoard's embedding projector."""

from __future__ import annotations

import math
import os

import numpy as np
from PIL import Image

from tf_micle.system.written_whole import copy_whole, written_whole

# TensorBoard takes sprites of up to 8192 pixels a side, and thousands of points
# are what a browser moves; so the sprite's size is bounded, whatever comes in.
MOST = 10_000
THUMBNAIL = 48

_CONFIG = f"""\
embeddings {{
  tensor_name: "features"
  tensor_path: "tensors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {THUMBNAIL}
    single_image_dim: {THUMBNAIL}
  }}
}}
"""


def thumbnail(view):
  """Shrinks a view, uint8 (h, w, 3), to uint8 (THUMBNAIL, THUMBNAIL, 3)."""
  image = Image.fromarray(view).resize(
    (THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR
  )
  return np.asarray(image)


def cell(text):
  """Returns a text as the projector's tables hold one: on one line, no tabs."""
  return " ".join(str(text).split())


def config_path(folder):
  """Returns where the file is that makes a folder a projector's."""
  return os.path.join(folder, "projector_config.pbtxt")


def write(folder, *, features, thumbnails, metadata, count, width):
  """Writes what `tensorboard --logdir=FOLDER` shows under Projector.

  Args:
    folder: made if absent; the configuration is written last.
    features: path of raw float32 (at least count, width).
    thumbnails: path of raw uint8 (count, THUMBNAIL, THUMBNAIL, 3).
    metadata: path of a table with a header and `count` rows, tab-separated.
    count: of images.
    width: of a feature.
  """
  os.makedirs(folder, exist_ok=True)

  def new(name, **how):
    return written_whole(os.path.join(folder, name), **how)

  if count:
    rows = np.memmap(features, np.float32, "r", shape=(count, width))
    with new("tensors.tsv") as file:
      for row in rows:
        file.write("\t".join(f"{value:.6g}" for value in row) + "\n")
    with new("sprite.png", binary=True) as file:
      _sprite(thumbnails, count).save(file, "PNG")
  copy_whole(metadata, os.path.join(folder, "metadata.tsv"))
  with written_whole(config_path(folder)) as file:
    file.write(_CONFIG)


def _sprite(thumbnails, count):
  """Lays out thumbnails row by row in a square, as the projector reads it."""
  shape = (count, THUMBNAIL, THUMBNAIL, 3)
  images = np.memmap(thumbnails, np.uint8, "r", shape=shape)
  side = math.ceil(math.sqrt(count))
  sprite = np.full((side * THUMBNAIL, side * THUMBNAIL, 3), 255, np.uint8)
  for place, image in enumerate(images):
    top, left = (THUMBNAIL * at for at in divmod(place, side))
    sprite[top : top + THUMBNAIL, left : left + THUMBNAIL] = image
  return Image.fromarray(sprite)
