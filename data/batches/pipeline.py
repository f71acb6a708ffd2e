"""Bags to batches of uint8 views, for pretraining, fine-tuning, evaluation."""

from __future__ import annotations

import math

import tensorflow as tf

from data.batches import item_stream, pairs
from data.images.decode import decode
from data.problems import DataError
from data.views import geometry

# One process, one device: its share of a global batch is all of it.
ALONE = tf.distribute.InputContext()


def steps_per_epoch(source, *, use_micle, batch_size, read_parts=1):
  """Returns the whole batches in one pass over `source`.

  What is left over sits out until the next epoch's shuffle: a batch that spans
  two epochs could hold an image twice, as its own negative.

  Args:
    source: a `BagSource`.
    use_micle: whether an item is a bag; otherwise it is an image.
    batch_size: positive pairs in a global batch.
    read_parts: as in `pair_batches`.

  Raises:
    DataError: where an epoch has no whole batch, or a pair no negatives, or
      the source cannot be read in such parts.
  """
  num_items = item_stream.num_items(source, use_micle)
  items = "bags" if use_micle else "images"
  if num_items < 2:
    raise DataError(
      f"Expected at least 2 {items} in {source.name}: a pair's negatives are "
      f"the batch's other {items}. Received: {num_items}."
      + " Leave out --use_micle to pair views of single images."
      * use_micle
    )
  if num_items < batch_size:
    raise DataError(
      f"Expected at least one batch of {items} in {source.name}, which has "
      f"{num_items}. Received: --train_batch_size={batch_size}. Set it to "
      f"{num_items} or less."
    )
  sizes = item_stream.part_sizes(source, use_micle, read_parts)
  smallest = min(sizes)
  rows = batch_size // read_parts
  if smallest < rows:
    raise DataError(
      f"Expected {rows} {items} in each part that {source.name} is read in, "
      f"its share of a batch. Received: {smallest} in one of "
      f"--read_parts={read_parts}. Take a smaller --train_batch_size, or "
      "--read_parts=1."
    )
  return sum(sizes) // batch_size


def pair_batches(
  source,
  *,
  batch_size,
  views,
  use_micle,
  seed,
  first_step=0,
  cache=False,
  read_parts=1,
  context=ALONE,
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
    read_parts: how many parts the source's files are read in, a divisor of
      `batch_size` and 1 or a multiple of the workers; each part is shuffled by
      itself and gives equally many rows of a batch.
    context: `tf.distribute.InputContext`: which worker's share of each global
      batch to make, in batches of one device.

  Returns:
    `tf.data.Dataset` of dicts: `views` uint8 (b, 2, size, size, 3),
    `patient_key` int64 (b,), and per view `label` int64 (b, 2) or `labels`
    float32 (b, 2, classes).
  """
  steps_per_epoch(  # Raises where a part has no whole share of a batch.
    source, use_micle=use_micle, batch_size=batch_size, read_parts=read_parts
  )
  rows = batch_size // read_parts
  sizes = item_stream.part_sizes(source, use_micle, read_parts)

  def to_pair(bag, item_seed):
    return _positive_pair(bag, item_seed, views)

  return item_stream.endless_batches(
    item_stream.reader(source, use_micle, read_parts, cache),
    to_pair,
    per_epoch=[size // rows * rows for size in sizes],
    batch_size=batch_size,
    buffer=item_stream.shuffle_buffer(
      source, use_micle, batch_size=batch_size, image_size=views.image_size
    ),
    seed=seed,
    first_step=first_step,
    context=context,
  )


def labelled_batches(
  source,
  *,
  batch_size,
  views,
  unit,
  bag_views,
  seed,
  first_step=0,
  cache=False,
  read_parts=1,
  context=ALONE,
):
  """Returns an endless data set of batches for supervised training.

  A batch may span two epochs, so every item is seen equally often, and a split
  may be smaller than a batch.

  Args:
    source: a `BagSource` (see `labelled.labelled`).
    batch_size: items in a global batch.
    views: `geometry.ViewOptions`.
    unit: 'image': an item is one view of an image. 'bag': it is `bag_views`
      views of a bag, of its images in random order, which are repeated where
      the bag has fewer.
    bag_views: views of a bag.
    seed, first_step, cache, read_parts, context: as in `pair_batches`.

  Returns:
    `tf.data.Dataset` of dicts: `views` uint8 (b, k, size, size, 3), k = 1 for
    images, and per view `label` int64 (b, k) or `labels` float32
    (b, k, classes).
  """
  bags = unit == "bag"

  def to_views(bag, item_seed):
    return _drawn_views(bag, item_seed, views, bag_views if bags else 1)

  return item_stream.endless_batches(
    item_stream.reader(source, bags, read_parts, cache),
    to_views,
    per_epoch=item_stream.part_sizes(source, bags, read_parts),
    batch_size=batch_size,
    buffer=item_stream.shuffle_buffer(
      source, bags, batch_size=batch_size, image_size=views.image_size
    ),
    seed=seed,
    first_step=first_step,
    context=context,
  )


def image_batches(source, *, batch_size, views, context=ALONE):
  """Returns one pass over a split's images, as evaluation sees them.

  Args:
    source: a `BagSource`.
    batch_size: images in a global batch; the last one may have fewer.
    views: `geometry.ViewOptions`.
    context: `tf.distribute.InputContext`. Worker w of W makes every W-th of the
      devices' batches, from the w-th on, as Keras wants it where it puts what a
      model predicts in order; it decodes no other.

  Returns:
    `tf.data.Dataset` of dicts: `views` uint8 (b, 1, size, size, 3), `label`
    int64 (b, 1) or `labels` float32 (b, 1, classes). Images are in the order of
    `image_table.read`.
  """

  @tf.autograph.experimental.do_not_convert
  def to_view(bag):
    view = geometry.center_view(decode(bag["image"][0]), views)
    return {"views": view[None], **_labels_of(bag)}

  images = item_stream.split_bags(source.read(tf.constant(0, tf.int64)))
  rows = _rows_a_device(batch_size, context.num_replicas_in_sync)
  workers, worker = context.num_input_pipelines, context.input_pipeline_id
  if workers > 1:
    images = images.enumerate()
    images = images.filter(lambda at, _: at // rows % workers == worker)
    images = images.map(lambda _, image: image)
  images = images.map(to_view, tf.data.AUTOTUNE, deterministic=True)
  return images.batch(rows).prefetch(tf.data.AUTOTUNE)


def image_steps(source, *, batch_size, replicas):
  """Returns the global batches of `image_batches`, all workers' together."""
  rows = _rows_a_device(batch_size, replicas)
  return math.ceil(source.num_images / (rows * replicas))


def _rows_a_device(batch_size, replicas):
  return math.ceil(batch_size / replicas)


def views_at(source, positions, *, views):
  """Returns the views of a few images, as `image_batches` has them.

  Args:
    source: a `BagSource`.
    positions: of the images, in the order of `image_batches`, counted from 0.
    views: `geometry.ViewOptions`.

  Returns:
    dict of position to uint8 (size, size, 3).
  """
  wanted = tf.constant(sorted(positions), tf.int64)
  images = item_stream.split_bags(source.read(tf.constant(0, tf.int64)))
  images = images.map(lambda bag: bag["image"][0]).enumerate()
  images = images.filter(lambda at, _: tf.reduce_any(wanted == at))

  @tf.autograph.experimental.do_not_convert
  def to_view(at, encoded):
    return at, geometry.center_view(decode(encoded), views)

  found = images.map(to_view, tf.data.AUTOTUNE).as_numpy_iterator()
  return {int(at): view for at, view in found}


def _labels_of(bag, indices=None):
  """Returns a bag's labels, or those of the images at `indices`."""
  key = "labels" if "labels" in bag else "label"
  labels = bag[key]
  return {key: labels if indices is None else tf.gather(labels, indices)}


def _positive_pair(bag, seed, views):
  """Cuts the two views of a bag's positive pair; decodes each image once."""
  pair_seed, *view_seeds = tf.unstack(tf.random.split(seed, 3))
  encoded = bag["image"]
  first, second = pairs.draw_pair(tf.size(encoded), pair_seed)

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
    **_labels_of(bag, tf.stack([first, second])),
  }


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
  return {"views": tf.concat(cut, axis=0), **_labels_of(bag, drawn)}
