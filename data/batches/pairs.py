"""Batches of positives: views of a bag (MICLe), or of an image (SimCLR)."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from data.batches import chosen_images, item_stream
from data.batches.item_stream import ALONE
from data.problems import DataError
from data.sources.bag_source import labels_of
from data.views import geometry


class PairBatches:
  """Batches to pretrain on.

  Attributes:
    source: the `BagSource` that they come from.
    views_per_item: v, the views of a bag or an image that are each other's
      positives.
    steps_per_epoch: whole batches in one pass. What is left over sits out until
      the next epoch's shuffle: a batch that spans two epochs could hold an
      image twice, as its own negative.
  """

  def __init__(self, source, options, *, use_micle, views_per_item=2):
    """Plans the batches; reads nothing yet.

    Args:
      source: a `BagSource`.
      options: `item_stream.BatchOptions`; an item is a pair.
      use_micle: whether a pair is two images of a bag; otherwise it is two
        views of one image.
      views_per_item: as the attribute.

    Raises:
      DataError: where an epoch has no whole batch, or a pair no negatives, or
        the source cannot be read in such parts.
    """
    self.source = source
    self.views_per_item = views_per_item
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
      `tf.data.Dataset` of dicts: `views` uint8 (b, v, size, size, 3),
      `patient_key` int64 (b,), and per view `label` int64 (b, v) or `labels`
      float32 (b, v, classes).
    """
    return item_stream.endless_batches(
      self.source,
      lambda bag, seed: _views_of_bag(
        bag, seed, self._options.views, self.views_per_item
      ),
      self._options,
      bags=self._use_micle,
      per_epoch=self._per_epoch,
      first_step=first_step,
      context=context,
    )

  def sample(self, most):
    """Returns a few items as training cuts them, uint8 (n, v, h, w, 3)."""
    items = item_stream.num_items(self.source, self._use_micle)
    options = dataclasses.replace(
      self._options, batch_size=min(most, items), cache=False, read_parts=1
    )
    few = PairBatches(
      self.source,
      options,
      use_micle=self._use_micle,
      views_per_item=self.views_per_item,
    )
    return next(iter(few.batches()))["views"]


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


def _views_of_bag(bag, seed, views, count):
  """Cuts the views of a bag, or of an image, that are each other's positives.

  Views of a lone image are cut from one decoding of it.
  """
  choice_seed, *view_seeds = tf.unstack(tf.random.split(seed, count + 1))
  encoded = bag["image"]
  chosen = chosen_images.draw(tf.size(encoded), choice_seed, count)  # (v,)

  def cut(own, count):
    image, seed = encoded[chosen[own]], view_seeds[own]
    return geometry.random_views(image, seed, views, count=count)

  if encoded.shape[0] == 1:  # Always: no need for a second way.
    cut_views = cut(0, count)
  else:
    cut_views = tf.cond(
      tf.equal(tf.size(encoded), 1),
      lambda: cut(0, count),
      lambda: tf.concat([cut(own, 1) for own in range(count)], axis=0),
    )
  return {
    "views": cut_views,
    "patient_key": bag["patient_key"],
    **labels_of(bag, chosen),
  }
