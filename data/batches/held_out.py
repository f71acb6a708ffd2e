"""Held-out images of a split: a few whole bags, the same ones every time."""

from __future__ import annotations

import math
import zlib

import numpy as np
import tensorflow as tf

from data.batches.item_stream import ALONE

# More images of one bag say little more, and leave room for fewer bags.
MOST_OF_A_BAG = 4


class HeldOutImages:
  """A few images by their central views, decoded once and kept in memory.

  Attributes:
    table: their `image_table.ImageTable`.
    checksum: int below 2 ** 24, of what they are.
  """

  def __init__(self, images, most):
    """Chooses and decodes them.

    Args:
      images: `images.ImageBatches` of the split.
      most: images, at most.
    """
    places = choose(images.table, most)
    views = images.views_at(places)
    self.table = images.table.where(places)
    self.checksum = _hash(*self.table.row) % 2**24
    self._views = np.stack([views[place] for place in places])[:, None]
    self._batch_size = images.batch_size

  def batches(self, context=ALONE):
    """Returns the batches of one pass, as `images.ImageBatches.batches`."""
    rows = self._rows_a_device(context.num_replicas_in_sync)
    batch = np.arange(len(self._views)) // rows
    own = batch % context.num_input_pipelines == context.input_pipeline_id
    views = tf.data.Dataset.from_tensor_slices({"views": self._views[own]})
    return views.batch(rows)

  def steps(self, replicas):
    """Returns the number of global batches, all workers' together."""
    rows = self._rows_a_device(replicas) * replicas
    return math.ceil(len(self._views) / rows)

  def _rows_a_device(self, replicas):
    return math.ceil(self._batch_size / replicas)


def choose(table, most):
  """Returns the places of the images to take, sorted.

  Bags come in the order of a hash of their first row, each with at most
  `MOST_OF_A_BAG` of its images, so that neither the seed nor the order of files
  decides, and fewer images are a part of more.

  Args:
    table: `image_table.ImageTable`.
    most: images, at most; fewer where the last bag does not fit.
  """
  bags = {}
  for place in np.argsort(table.row, kind="stable"):
    bags.setdefault(table.bag_id[place], []).append(place)
  taken = []
  for bag in sorted(bags.values(), key=lambda bag: _hash(table.row[bag[0]])):
    taken += sorted(bag, key=lambda place: _hash(table.row[place]))[
      :MOST_OF_A_BAG
    ]
    if len(taken) >= most:
      break
  return np.sort(taken[:most]).astype(int)


def _hash(*rows):
  return zlib.crc32(" ".join(map(str, rows)).encode())
