"""Bags or images one after the other, epoch after epoch, from any position.

Every random choice is a stateless function of the seed and the item's position
in the run, so a run that starts at step k sees what an uninterrupted one does.
"""

from __future__ import annotations

import tensorflow as tf

# Batches that are shuffled at once, as in SimCLR: more where images are small.
_SHUFFLE_BATCHES_SMALL, _SHUFFLE_BATCHES = 50, 10
_SMALL_IMAGE_SIZE = 32
_ENDLESS = 2**31


def num_items(source, bags):
  """Returns the bags of a `BagSource`, or its images."""
  return source.num_bags if bags else source.num_images


def shuffle_buffer(source, bags, *, batch_size, image_size):
  """Returns how many items to shuffle at once."""
  small = image_size <= _SMALL_IMAGE_SIZE
  batches = _SHUFFLE_BATCHES_SMALL if small else _SHUFFLE_BATCHES
  return min(batch_size * batches, num_items(source, bags))


def endless_items(read, *, per_epoch, buffer, seed, first):
  """Returns (position, item) from the position `first` on, epoch after epoch.

  Args:
    read: from a seed to one pass over the items.
    per_epoch: items of a pass that are used.
    buffer: items to shuffle at once.
    seed: the run's seed.
    first: items that the run has used before.
  """

  @tf.autograph.experimental.do_not_convert
  def items_of_epoch(epoch):
    shards_seed, items_seed = tf.unstack(
      tf.random.split(tf.stack([tf.constant(seed, tf.int64), epoch]))[:, 0]
    )
    items = read(shards_seed)
    items = items.shuffle(buffer, items_seed, reshuffle_each_iteration=False)
    return items.take(per_epoch)

  epochs = tf.data.Dataset.range(first // per_epoch, _ENDLESS)
  items = epochs.flat_map(items_of_epoch).skip(first % per_epoch)
  return items.enumerate(start=first)


def batches(items, function, *, seed, batch_size):
  """Maps (position, item) by `function(item, its seed)`, and batches."""

  @tf.autograph.experimental.do_not_convert
  def at_position(position, item):
    return function(item, tf.stack([tf.constant(seed, tf.int64), position]))

  batches = items.map(at_position, tf.data.AUTOTUNE, deterministic=True)
  batches = batches.batch(batch_size, drop_remainder=True)
  return batches.prefetch(tf.data.AUTOTUNE)


def reader(source, bags, cache):
  """Returns a function from a seed to one pass over bags (of one, or all)."""

  def read(seed):
    stream = source.read(seed).map(_for_training)
    return stream if bags else split_bags(stream)

  if not cache:
    return read
  cached = read(tf.constant(0, tf.int64)).cache()
  return lambda seed: cached


def _for_training(bag):
  """Keeps what training uses, so that nothing else is shuffled and cached."""
  kept = ("patient_key", "image", "label", "labels")
  return {key: bag[key] for key in kept if key in bag}


def split_bags(bags):
  """Turns each bag of m images of a `tf.data.Dataset` into m bags of one."""

  def lengthen(bag):
    images = tf.size(bag["image"])
    return {
      key: tf.fill([images], value)
      if key in ("patient_key", "patient_id", "bag_id")
      else value[:, None]
      for key, value in bag.items()
    }

  # A data set a bag (`flat_map`) takes longer than decoding its images.
  return bags.map(lengthen).unbatch()
