"""Bags to batches of uint8 views.

Every random choice is a stateless function of the seed and the item's position
in the run, so a run that starts at step k sees what an uninterrupted one does.
"""

from __future__ import annotations

import tensorflow as tf

from data import geometry, pairs

# Batches that are shuffled at once, as in SimCLR: more where images are small.
_SHUFFLE_BATCHES_SMALL, _SHUFFLE_BATCHES = 50, 10
_SMALL_IMAGE_SIZE = 32
_ENDLESS = 2**31


def steps_per_epoch(source, *, use_micle, batch_size):
  """Returns the whole batches in one pass over `source`.

  What is left over sits out until the next epoch's shuffle: a batch that spans
  two epochs could hold an image twice, as its own negative.

  Args:
    source: a `BagSource`.
    use_micle: whether an item is a bag; otherwise it is an image.
    batch_size: positive pairs in a global batch.

  Raises:
    ValueError: where an epoch has no whole batch, or a pair no negatives.
  """
  num_items = _num_items(source, use_micle)
  items = "bags" if use_micle else "images"
  if num_items < 2:
    raise ValueError(
      f"Expected at least 2 {items} in {source.name}: a pair's negatives are "
      f"the batch's other {items}. Received: {num_items}."
      + " Leave out --use_micle to pair views of single images."
      * use_micle
    )
  if num_items < batch_size:
    raise ValueError(
      f"Expected at least one batch of {items} in {source.name}, which has "
      f"{num_items}. Received: --train_batch_size={batch_size}. Set it to "
      f"{num_items} or less."
    )
  return num_items // batch_size


def pair_batches(
  source, *, batch_size, views, use_micle, seed, first_step=0, cache=False
):
  """Returns an endless data set of batches of positive pairs.

  Args:
    source: a `BagSource` with at least one batch (see `steps_per_epoch`).
    batch_size: positive pairs in a global batch.
    views: `geometry.ViewOptions`.
    use_micle: whether a pair is two images of a bag; otherwise it is two views
      of one image.
    seed: the run's seed.
    first_step: the step to start at; what lies before it in its epoch is read,
      not decoded.
    cache: whether to keep the encoded images in memory. The order of shards is
      then the same in every epoch.

  Returns:
    `tf.data.Dataset` of dicts: `views` uint8 (b, 2, size, size, 3),
    `patient_key` int64 (b,), and per view `label` int64 (b, 2) or `labels`
    float32 (b, 2, classes).
  """
  steps = steps_per_epoch(source, use_micle=use_micle, batch_size=batch_size)
  small = views.image_size <= _SMALL_IMAGE_SIZE
  buffer = batch_size * (_SHUFFLE_BATCHES_SMALL if small else _SHUFFLE_BATCHES)
  buffer = min(buffer, _num_items(source, use_micle))
  read = _item_reader(source, use_micle, cache)

  @tf.autograph.experimental.do_not_convert
  def items_of_epoch(epoch):
    shards_seed, items_seed = tf.unstack(
      tf.random.split(tf.stack([tf.constant(seed, tf.int64), epoch]))[:, 0]
    )
    items = read(shards_seed)
    items = items.shuffle(buffer, items_seed, reshuffle_each_iteration=False)
    return items.take(steps * batch_size)

  @tf.autograph.experimental.do_not_convert
  def to_pair(position, item):
    item_seed = tf.stack([tf.constant(seed, tf.int64), position])
    return _positive_pair(item, item_seed, views)

  epochs = tf.data.Dataset.range(first_step // steps, _ENDLESS)
  items = epochs.flat_map(items_of_epoch)
  items = items.skip(first_step % steps * batch_size)
  items = items.enumerate(start=first_step * batch_size)
  batches = items.map(to_pair, tf.data.AUTOTUNE, deterministic=True)
  batches = batches.batch(batch_size, drop_remainder=True)
  return batches.prefetch(tf.data.AUTOTUNE)


def image_batches(source, *, batch_size, views):
  """Returns one pass over a split's images, as evaluation sees them.

  Args:
    source: a `BagSource`.
    batch_size: images in a batch; the last one may have fewer.
    views: `geometry.ViewOptions`.

  Returns:
    `tf.data.Dataset` of dicts: `views` uint8 (b, 1, size, size, 3),
    `patient_key` int64 (b,), `label` int64 (b, 1) or `labels` float32
    (b, 1, classes).
  """

  @tf.autograph.experimental.do_not_convert
  def to_view(bag):
    view = geometry.center_view(geometry.decode(bag.pop("image")[0]), views)
    return {"views": view[None], **bag}

  images = source.read(tf.constant(0, tf.int64)).flat_map(_split_bag)
  images = images.map(to_view, tf.data.AUTOTUNE, deterministic=True)
  return images.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _num_items(source, use_micle):
  return source.num_bags if use_micle else source.num_images


def _item_reader(source, use_micle, cache):
  """Returns a function from a seed to one pass over bags (of one, or all)."""

  def read(seed):
    bags = source.read(seed)
    return bags if use_micle else bags.flat_map(_split_bag)

  if not cache:
    return read
  cached = read(tf.constant(0, tf.int64)).cache()
  return lambda seed: cached


def _split_bag(bag):
  """Turns a bag of m images into m bags of one."""
  patient_key = bag.pop("patient_key")
  images = tf.data.Dataset.from_tensor_slices(bag)
  return images.map(
    lambda image: {
      "patient_key": patient_key,
      **{key: value[None] for key, value in image.items()},
    }
  )


def _positive_pair(bag, seed, views):
  """Cuts the two views of a bag's positive pair; decodes each image once."""
  seeds = tf.random.split(seed, 3)
  encoded = bag.pop("image")
  first, second = pairs.draw_pair(tf.size(encoded), seeds[0])
  image_a = geometry.decode(encoded[first])
  image_b = tf.cond(
    tf.equal(first, second),
    lambda: image_a,
    lambda: geometry.decode(encoded[second]),
  )
  labels = {
    key: tf.gather(value, tf.stack([first, second]))
    for key, value in bag.items()
    if key != "patient_key"
  }
  return {
    "views": tf.stack(
      [
        geometry.random_view(image_a, seeds[1], views),
        geometry.random_view(image_b, seeds[2], views),
      ]
    ),
    "patient_key": bag["patient_key"],
    **labels,
  }
