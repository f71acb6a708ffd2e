"""Endless stream of bags or images, epoch after epoch, from any position.

Every random choice is a stateless function of the seed and the item's position
in the run, so a run that starts at step k sees what an uninterrupted one does.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from data.problems import DataError
from data.views.geometry import ViewOptions

# One process, one device: its share of a global batch is all of it.
ALONE = tf.distribute.InputContext()

# Batches that are shuffled at once, as in SimCLR: more where images are small.
_SHUFFLE_BATCHES_SMALL, _SHUFFLE_BATCHES = 50, 10
_SMALL_IMAGE_SIZE = 32
_ENDLESS = 2**31


@dataclasses.dataclass(frozen=True)
class BatchOptions:
  """How training batches are made of items, which are bags or images.

  Attributes:
    batch_size: items in a global batch.
    views: how views are cut.
    seed: the run's.
    cache: whether to keep the encoded images in memory. The order of files is
      then the same in every epoch.
    read_parts: how many parts the source's files are read in, a divisor of
      `batch_size` and 1 or a multiple of the workers; each part is shuffled by
      itself and gives equally many rows of a batch.
  """

  batch_size: int
  views: ViewOptions
  seed: int
  cache: bool = False
  read_parts: int = 1


def num_items(source, bags):
  """Returns the bags of a `BagSource`, or its images."""
  return source.num_bags if bags else source.num_images


def part_sizes(source, bags, parts):
  """Returns the bags, or images, of each part that a source is read in.

  Part p has the files p, p + parts, p + 2 parts and so on.

  Args:
    source: a `BagSource`.
    bags: whether an item is a bag; otherwise it is an image.
    parts: their number.

  Raises:
    DataError: where there are no such parts.
  """
  if parts == 1:
    return [num_items(source, bags)]
  sizes = source.shard_bags if bags else source.shard_images
  if len(sizes) < parts:
    received = (
      f"{len(sizes)} files; a lower --images_per_shard of data.build_tfrecords "
      "makes more"
      if sizes
      else "data whose files cannot be read apart (TFDS, or bag TFRecords "
      "before their files' images were counted, which want to be built again)"
    )
    raise DataError(
      f"Expected {source.name} in files for --read_parts={parts} (by default "
      f"the number of workers). Received: {received}. --read_parts=1 lets "
      "every worker read all files, and decode its share."
    )
  return [sum(sizes[part::parts]) for part in range(parts)]


def endless_batches(
  source, to_row, options, *, bags, per_epoch, first_step=0, context=ALONE
):
  """Returns an endless data set of a worker's share of each global batch.

  The rows of a global batch are the parts' in turn, equally many of each. What
  is in a batch depends on the number of parts, not on that of the workers.

  Args:
    source: a `BagSource`.
    to_row: from an item and its seed to a row of a batch.
    options: `BatchOptions`.
    bags: whether an item is a bag; otherwise it is a bag of one image.
    per_epoch: for each part, the items of a pass that are used.
    first_step: the step to start at; what lies before it in its epoch is read,
      not decoded.
    context: `tf.distribute.InputContext`: which worker this is. Of several
      parts it reads its own; a single one is read by all, who keep their rows.

  Returns:
    `tf.data.Dataset` of `batch_size / context.num_replicas_in_sync` rows each,
    those of this worker's first device first.
  """
  parts, workers = options.read_parts, context.num_input_pipelines
  batch_size, seed = options.batch_size, options.seed
  buffer = _shuffle_buffer(source, bags, options)
  rows = batch_size // parts

  def stream(part):
    items = _endless_items(
      _reader(source, bags, part, options),
      per_epoch=per_epoch[part],
      buffer=-(-buffer // parts),
      seed=(seed, part),
      first=first_step * rows,
    )

    def globally(position, item):
      step, row = position // rows, position % rows
      return step * batch_size + part * rows + row, item

    return items.map(globally) if parts > 1 else items

  own = range(parts)
  if parts > 1:
    share = parts // workers
    own = own[context.input_pipeline_id * share :][:share]
  items = stream(own[0])
  if len(own) > 1:
    turns = np.repeat(np.arange(len(own)), rows)
    items = tf.data.Dataset.choose_from_datasets(
      [stream(part) for part in own],
      tf.data.Dataset.from_tensor_slices(turns).repeat(),
    )
  if parts == 1 and workers > 1:
    share = batch_size // workers
    items = items.filter(
      lambda position, item: (
        position % batch_size // share == context.input_pipeline_id
      )
    )

  @tf.autograph.experimental.do_not_convert
  def at_position(position, item):
    return to_row(item, tf.stack([tf.constant(seed, tf.int64), position]))

  batches = items.map(at_position, tf.data.AUTOTUNE, deterministic=True)
  batches = batches.batch(
    context.get_per_replica_batch_size(batch_size), drop_remainder=True
  )
  return batches.prefetch(tf.data.AUTOTUNE)


def _endless_items(read, *, per_epoch, buffer, seed, first):
  """Returns (position, item) from the position `first` on, epoch after epoch.

  Args:
    read: from a seed to one pass over the items.
    per_epoch: items of a pass that are used.
    buffer: items to shuffle at once.
    seed: the run's, and the part's number.
    first: items that the run has used before.
  """
  run_seed, part = seed

  @tf.autograph.experimental.do_not_convert
  def items_of_epoch(epoch):
    # Else a global seed would count too, and with 0 shuffling takes no tensor.
    tf.compat.v1.get_default_graph().seed = None
    key = tf.stack([tf.constant(run_seed, tf.int64), epoch])
    if part:
      folded = tf.random.experimental.stateless_fold_in(key, part)
      key = tf.cast(folded, tf.int64)
    shards_seed, items_seed = tf.unstack(tf.random.split(key)[:, 0])
    items = read(shards_seed)
    items = items.shuffle(buffer, items_seed, reshuffle_each_iteration=False)
    return items.take(per_epoch)

  epochs = tf.data.Dataset.range(first // per_epoch, _ENDLESS)
  items = epochs.flat_map(items_of_epoch).skip(first % per_epoch)
  return items.enumerate(start=first)


def _reader(source, bags, part, options):
  """Returns a function from a seed to one pass over a part's items."""
  parts = options.read_parts
  which = [range(part, len(source.shard_bags), parts)] if parts > 1 else []

  def read(seed):
    stream = source.read(seed, *which).map(_for_training)
    return stream if bags else split_bags(stream)

  if not options.cache:
    return read
  cached = read(tf.constant(0, tf.int64)).cache()
  return lambda seed: cached


def _shuffle_buffer(source, bags, options):
  """Returns how many items to shuffle at once, of all parts together."""
  small = options.views.image_size <= _SMALL_IMAGE_SIZE
  batches = _SHUFFLE_BATCHES_SMALL if small else _SHUFFLE_BATCHES
  return min(options.batch_size * batches, num_items(source, bags))


def _for_training(bag):
  """Keeps what training uses, so that nothing else is shuffled and cached."""
  kept = ["patient_key", "image", "label", "labels"]
  return {key: bag[key] for key in kept if key in bag}


def split_bags(bags):
  """Turns each bag of m images of a `tf.data.Dataset` into m bags of one."""

  def lengthen(bag):
    images = tf.size(bag["image"])
    return {
      key: tf.fill([images], value)
      if key in ("patient_key", "patient_id", "bag_id", "shard")
      else value[:, None]
      for key, value in bag.items()
    }

  # A data set a bag (`flat_map`) takes longer than decoding its images.
  return bags.map(lengthen).unbatch()
