"""Evaluation batches: one pass over a split's images."""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf

from data.batches import item_stream
from data.batches.item_stream import ALONE
from data.images.decode import decode
from data.sources import image_table
from data.sources.bag_source import labels_of
from data.views import geometry


class ImageBatches:
  """All images of a split in order, each by its central view.

  Attributes:
    source: the `BagSource` that they come from.
    unit: 'image' or 'bag': what the labels are of.
    batch_size: images in a global batch; the last one may have fewer.
  """

  def __init__(self, source, *, batch_size, views, unit, table=None):
    """Plans the pass; reads nothing yet.

    Args:
      source: a `BagSource`; with unit 'bag' its images have their bag's label.
      batch_size: as the attribute.
      views: `geometry.ViewOptions`.
      unit: as the attribute.
      table: the facts of its images, where they were read already.
    """
    if table is not None:
      self.table = table
    self.source = source
    self.unit = unit
    self.batch_size = batch_size
    self._views = views

  @functools.cached_property
  def table(self):
    """The facts of the images in their order, an `image_table.ImageTable`."""
    return image_table.read(self.source)

  def batches(self, context=ALONE):
    """Returns the batches.

    Args:
      context: `tf.distribute.InputContext`. Worker w of W makes every W-th of
        the devices' batches, from the w-th on, as Keras wants it where it puts
        what a model predicts in order; it decodes no other.

    Returns:
      `tf.data.Dataset` of dicts: `views` uint8 (b, 1, size, size, 3), `label`
      int64 (b, 1) or `labels` float32 (b, 1, classes).
    """

    @tf.autograph.experimental.do_not_convert
    def to_view(bag):
      view = geometry.center_view(decode(bag["image"][0]), self._views)
      return {"views": view[None], **labels_of(bag)}

    images = item_stream.split_bags(self._read())
    rows = self._rows_a_device(context.num_replicas_in_sync)
    workers, worker = context.num_input_pipelines, context.input_pipeline_id
    if workers > 1:
      images = images.enumerate()
      images = images.filter(lambda at, _: at // rows % workers == worker)
      images = images.map(lambda _, image: image)
    images = images.map(to_view, tf.data.AUTOTUNE, deterministic=True)
    return images.batch(rows).prefetch(tf.data.AUTOTUNE)

  def steps(self, replicas):
    """Returns the number of global batches, all workers' together."""
    rows = self._rows_a_device(replicas) * replicas
    return math.ceil(self.source.num_images / rows)

  def views_at(self, positions):
    """Returns the views of a few images.

    Args:
      positions: of the images, counted from 0.

    Returns:
      dict of position to uint8 (size, size, 3).
    """
    return dict(self.each_view(positions))

  def each_view(self, positions):
    """Yields positions with their views, as `views_at`, in order."""
    wanted = np.zeros(self.source.num_images, bool)
    wanted[list(positions)] = True
    wanted = tf.constant(wanted)
    images = item_stream.split_bags(self._read())
    images = images.map(lambda bag: bag["image"][0]).enumerate()
    images = images.filter(lambda at, _: wanted[at])

    @tf.autograph.experimental.do_not_convert
    def to_view(at, encoded):
      return at, geometry.center_view(decode(encoded), self._views)

    found = images.map(to_view, tf.data.AUTOTUNE, deterministic=True)
    for at, view in found.prefetch(1).as_numpy_iterator():
      yield int(at), view

  def _read(self):
    return self.source.read(tf.constant(0, tf.int64))

  def _rows_a_device(self, replicas):
    return math.ceil(self.batch_size / replicas)
