"""Batches of positive pairs: of a bag (MICLe), or of an image (SimCLR)."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from data.batches import item_stream
from data.batches.item_stream import ALONE
from data.problems import DataError
from data.sources.bag_source import labels_of
from data.views import geometry


class PairBatches:
  """Batches to pretrain on.

  Attributes:
    source: the `BagSource` that they come from.
    steps_per_epoch: whole batches in one pass. What is left over sits out until
      the next epoch's shuffle: a batch that spans two epochs could hold an
      image twice, as its own negative.
  """

  def __init__(self, source, options, *, use_micle):
    """Plans the batches; reads nothing yet.

    Args:
      source: a `BagSource`.
      options: `item_stream.BatchOptions`; an item is a pair.
      use_micle: whether a pair is two images of a bag; otherwise it is two
        views of one image.

    Raises:
      DataError: where an epoch has no whole batch, or a pair no negatives, or
        the source cannot be read in such parts.
    """
    self.source = source
    self._options = options
    self._use_micle = use_micle
    _check_size(source, options, use_micle)
    sizes = item_stream.part_sizes(source, use_micle, options.read_parts)
    rows = _rows_of_a_part(source, options, use_micle, min(sizes))
    self._per_epoch = [size // rows * rows for size in sizes]
    self.steps_per_epoch = sum(sizes) // options.batch_size

  def batches(self, first_step=0, context=ALONE):
    """Returns an endless data set of batches.

    Args:
      first_step: as in `item_stream.endless_batches`.
      context: as in `item_stream.endless_batches`.

    Returns:
      `tf.data.Dataset` of dicts: `views` uint8 (b, 2, size, size, 3),
      `patient_key` int64 (b,), and per view `label` int64 (b, 2) or `labels`
      float32 (b, 2, classes).
    """
    return item_stream.endless_batches(
      self.source,
      lambda bag, seed: _positive_pair(bag, seed, self._options.views),
      self._options,
      bags=self._use_micle,
      per_epoch=self._per_epoch,
      first_step=first_step,
      context=context,
    )

  def sample(self, most):
    """Returns a few pairs as training cuts them, uint8 (n, 2, h, w, 3)."""
    items = item_stream.num_items(self.source, self._use_micle)
    options = dataclasses.replace(
      self._options, batch_size=min(most, items), cache=False, read_parts=1
    )
    few = PairBatches(self.source, options, use_micle=self._use_micle)
    return next(iter(few.batches()))["views"]


def draw_pair(num_images, seed):
  """Draws the two images of a bag's positive pair (MICLe, section 3.2).

  Every ordered pair of distinct images is equally likely. A lone image is
  paired with itself: its two views then come from augmentation only (SimCLR).

  Args:
    num_images: int (), M >= 1.
    seed: int64 (2,), for stateless draws.

  Returns:
    Two int32 () indices in [0, M), distinct where M >= 2.
  """
  num_images = tf.cast(num_images, tf.int32)
  # 63 bits: what is left over of them is no part of the chance that one sees.
  bits = tf.random.stateless_uniform((2,), seed, 0, tf.int64.max, tf.int64)
  others = tf.maximum(num_images - 1, 1)
  ranges = tf.cast(tf.stack([num_images, others]), tf.int64)
  first, skip = tf.unstack(tf.cast(bits % ranges, tf.int32))
  return first, (first + 1 + skip) % num_images


def _check_size(source, options, use_micle):
  """Raises DataError where there is no whole batch, or a pair no negative."""
  num_items = item_stream.num_items(source, use_micle)
  items = "bags" if use_micle else "images"
  if num_items < 2:
    raise DataError(
      f"Expected at least 2 {items} in {source.name}: a pair's negatives are "
      f"the batch's other {items}. Received: {num_items}."
      + " Leave out --use_micle to pair views of single images."
      * use_micle
    )
  if num_items < options.batch_size:
    raise DataError(
      f"Expected at least one batch of {items} in {source.name}, which has "
      f"{num_items}. Received: --train_batch_size={options.batch_size}. Set it "
      f"to {num_items} or less."
    )


def _rows_of_a_part(source, options, use_micle, smallest):
  """Returns the rows of a batch that each part gives."""
  items = "bags" if use_micle else "images"
  rows = options.batch_size // options.read_parts
  if smallest < rows:
    raise DataError(
      f"Expected {rows} {items} in each part that {source.name} is read in, "
      f"its share of a batch. Received: {smallest} in one of "
      f"--read_parts={options.read_parts}. Take a smaller --train_batch_size, "
      "or --read_parts=1."
    )
  return rows


def _positive_pair(bag, seed, views):
  """Cuts the two views of a bag's positive pair; decodes each image once."""
  pair_seed, *view_seeds = tf.unstack(tf.random.split(seed, 3))
  encoded = bag["image"]
  first, second = draw_pair(tf.size(encoded), pair_seed)

  def cut(index, own, count):
    seed = view_seeds[own]
    return geometry.random_views(encoded[index], seed, views, count=count)

  both = tf.cond(
    tf.equal(first, second),
    lambda: cut(first, 0, 2),
    lambda: tf.concat([cut(first, 0, 1), cut(second, 1, 1)], axis=0),
  )
  return {
    "views": both,
    "patient_key": bag["patient_key"],
    **labels_of(bag, tf.stack([first, second])),
  }
