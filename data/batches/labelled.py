"""Batches of labelled images, or of labelled bags, for supervised training."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from data.batches import item_stream
from data.batches.item_stream import ALONE
from data.problems import DataError
from data.sources.bag_source import labels_of
from data.views import geometry


class LabelledBatches:
  """Batches to fine-tune on.

  A batch may span two epochs, so every item is seen equally often, and a split
  may be smaller than a batch.

  Attributes:
    split: the `labelled_split.LabelledSplit` that they come from.
    steps_per_epoch: batches in one pass, a float.
  """

  def __init__(self, split, options, *, bag_views):
    """Plans the batches; reads nothing yet.

    Args:
      split: a `labelled_split.LabelledSplit`.
      options: `item_stream.BatchOptions`; an item is an image, or a bag where
        these have the labels.
      bag_views: of a bag, views of its images in random order, which are
        repeated where it has fewer.

    Raises:
      DataError: if the split has not enough parts.
    """
    self.split = split
    self._options = options
    self._bags = split.unit == "bag"
    self._bag_views = bag_views
    self._per_epoch = item_stream.part_sizes(
      split.source, self._bags, options.read_parts
    )
    if not min(self._per_epoch):
      raise DataError(
        f"Expected labelled {split.unit}s in each of the parts that "
        f"{split.source.name} is read in. Received: none in one of "
        f"--read_parts={options.read_parts}. --read_parts=1 lets every worker "
        "read all."
      )
    self.steps_per_epoch = split.num_items / options.batch_size

  @property
  def views_per_item(self):
    """Views of an item in a batch, k in `batches`."""
    return self._bag_views if self._bags else 1

  def batches(self, first_step=0, context=ALONE):
    """Returns an endless data set of batches.

    Args:
      first_step: as in `item_stream.endless_batches`.
      context: as in `item_stream.endless_batches`.

    Returns:
      `tf.data.Dataset` of dicts: `views` uint8 (b, k, size, size, 3), k = 1 for
      images, and per view `label` int64 (b, k) or `labels` float32
      (b, k, classes).
    """
    views, count = self._options.views, self.views_per_item
    return item_stream.endless_batches(
      self.split.source,
      lambda bag, seed: _drawn_views(bag, seed, views, count),
      self._options,
      bags=self._bags,
      per_epoch=self._per_epoch,
      first_step=first_step,
      context=context,
    )

  def sample(self, most):
    """Returns a few items as training cuts them, uint8 (n, k, h, w, 3)."""
    options = dataclasses.replace(
      self._options, batch_size=most, cache=False, read_parts=1
    )
    few = LabelledBatches(self.split, options, bag_views=self._bag_views)
    return next(iter(few.batches()))["views"]


def _drawn_views(bag, seed, views, count):
  """Cuts `count` random views of a bag's images, in random order."""
  order_seed, *view_seeds = tf.unstack(tf.random.split(seed, 1 + count))
  encoded = bag["image"]
  keys = tf.random.stateless_uniform(tf.shape(encoded), order_seed)
  order = tf.argsort(keys)  # (m,)
  drawn = tf.gather(order, tf.range(count) % tf.size(order))  # (count,)
  cut = [
    geometry.random_views(encoded[drawn[k]], view_seed, views, count=1)
    for k, view_seed in enumerate(view_seeds)
  ]
  return {"views": tf.concat(cut, axis=0), **labels_of(bag, drawn)}
