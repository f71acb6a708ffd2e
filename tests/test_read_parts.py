"""Files read in parts: workers together see what one process sees alone."""

import numpy as np
import pytest
import tensorflow as tf
import toy_bags

from data.batches import item_stream
from data.batches.images import ImageBatches
from data.batches.item_stream import ALONE, BatchOptions
from data.batches.labelled import LabelledBatches
from data.batches.pairs import PairBatches
from data.sources import bag_source, labelled_split
from data.views import geometry

VIEWS = geometry.ViewOptions(image_size=12, min_crop_area=0.5)
SHARDS, BATCH = 4, 8
SOURCE = toy_bags.toy_bags([1, 2, 3] * 8, shards=SHARDS)
DRAWN = {
  "pairs": lambda source, options: PairBatches(source, options, use_micle=True),
  "images": lambda source, options: PairBatches(
    source, options, use_micle=False
  ),
  "labelled": lambda source, options: LabelledBatches(
    labelled_split.labelled(source, unit="bag"), options, bag_views=2
  ),
}


def worker(index, *, workers=2, devices=1):
  return tf.distribute.InputContext(workers, index, workers * devices)


def options(**changes):
  return BatchOptions(
    **{"batch_size": BATCH, "views": VIEWS, "seed": 0, **changes}
  )


def batches(
  count, kind="pairs", source=SOURCE, first_step=0, context=ALONE, **changes
):
  """The first `count` batches of a device, as `DRAWN` names them."""
  drawn = DRAWN[kind](source, options(**changes))
  stream = drawn.batches(first_step, context)
  return list(stream.take(count).as_numpy_iterator())


@pytest.mark.parametrize(
  ("kind", "parts", "devices", "cache"),
  [
    ("pairs", 1, 1, False),
    ("images", 2, 1, False),
    ("pairs", 4, 2, True),
    ("labelled", 4, 2, False),
  ],
)
def test_the_workers_rows_are_those_of_one_process(kind, parts, devices, cache):
  arguments = {"kind": kind, "read_parts": parts, "cache": cache}
  steps, first = 7, 3  # Into the third epoch, and from there on.
  whole = batches(steps, **arguments)
  shares = [
    batches(
      (steps - first) * devices,
      first_step=first,
      context=worker(k, devices=devices),
      **arguments,
    )
    for k in range(2)
  ]
  for step in range(first, steps):
    at = (step - first) * devices
    own = [share[at + k] for share in shares for k in range(devices)]
    for key, value in whole[step].items():
      joined = np.concatenate([batch[key] for batch in own])
      np.testing.assert_array_equal(joined, value)


@pytest.mark.parametrize("kind", DRAWN)
def test_a_worker_reads_its_own_files_and_all_of_them(kind):
  seen = []
  for k in range(2):
    found = batches(12, kind, read_parts=2, context=worker(k))
    bags = np.concatenate([toy_bags.identity(b["views"]) for b in found])
    seen.append(set(bags[..., 0].ravel()))
    assert {bag % SHARDS for bag in seen[k]} == {k, k + 2}
  assert len(set.union(*seen)) == 24


def test_an_epoch_of_a_part_is_one_pass_in_an_order_of_its_own():
  orders = []
  for k in range(2):
    found = batches(3, read_parts=2, context=worker(k))
    bags = [toy_bags.identity(b["views"])[:, 0, 0] // 2 for b in found]
    orders.append(np.concatenate(bags).tolist())
    assert sorted(orders[k]) == sorted(set(orders[k]))
  assert orders[0] != orders[1]


def test_unequal_parts_are_seen_whole():
  source = toy_bags.toy_bags([1] * 11, shards=2)  # Parts of 6 and 5.
  found = batches(40, "images", source, batch_size=4, read_parts=2)
  bags = np.stack([toy_bags.identity(b["views"])[:, 0, 0] for b in found])
  for part, size in enumerate((6, 5)):
    rows = bags[:, 2 * part : 2 * part + 2].ravel()
    epoch = size // 2 * 2
    for first in range(0, len(rows) - epoch, epoch):
      assert len(set(rows[first : first + epoch])) == epoch
    assert len(set(rows)) == size


def test_a_large_part_is_not_cut_to_the_smallest():
  source = toy_bags.toy_bags([1] * 30, shards=5)
  # Files 0 and 3, 1 and 4, and 2, of 6 bags each.
  assert item_stream.part_sizes(source, True, 3) == [12, 12, 6]
  found = batches(6, source=source, batch_size=6, read_parts=3)
  bags = np.stack([toy_bags.identity(b["views"])[:, 0, 0] for b in found])
  assert [len(set(bags[:, k : k + 2].ravel())) for k in (0, 2, 4)] == [
    12,
    12,
    6,
  ]


def test_bag_tfrecords_are_read_by_file(demo_records):
  source = bag_source.bag_tfrecords(demo_records, "train")
  assert sum(source.shard_bags) == source.num_bags
  assert sum(source.shard_images) == source.num_images
  seed = tf.constant(0, tf.int64)
  for shard, (bags, images) in enumerate(
    zip(source.shard_bags, source.shard_images)
  ):
    found = list(source.read(seed, [shard]).as_numpy_iterator())
    assert {bag["shard"] for bag in found} == {shard}
    assert len(found) == bags
    assert sum(len(bag["row"]) for bag in found) == images


def test_splits_are_joined(demo_records):
  one, other, both = (
    bag_source.bag_tfrecords(demo_records, split)
    for split in ("train", "test", "train+test")
  )
  assert both.num_images == one.num_images + other.num_images
  assert both.shard_bags == one.shard_bags + other.shard_bags
  assert set(both.patients()) == {*one.patients(), *other.patients()}
  seed = tf.constant(0, tf.int64)
  found = [bag["row"] for bag in both.read(seed).as_numpy_iterator()]
  assert len(found) == both.num_bags
  assert len(set(np.concatenate(found))) == both.num_images
  with pytest.raises(ValueError, match="'tset'"):
    bag_source.bag_tfrecords(demo_records, "train+tset")


def test_workers_validate_every_image_once():
  """In the order in which Keras joins the devices' predictions."""
  images = ImageBatches(SOURCE, batch_size=7, views=VIEWS, unit="image")
  whole = list(images.batches().as_numpy_iterator())
  shares = [
    list(images.batches(worker(k)).as_numpy_iterator()) for k in range(2)
  ]
  steps = images.steps(replicas=2)  # 4 rows a device.
  assert steps == 6 == max(map(len, shares))
  joined = [b for k in range(steps) for share in shares for b in share[k:][:1]]
  for key in ("views", "label"):
    np.testing.assert_array_equal(
      np.concatenate([batch[key] for batch in joined]),
      np.concatenate([batch[key] for batch in whole]),
    )


@pytest.mark.parametrize(
  ("sizes", "shards", "parts", "message"),
  [
    ([1] * 24, 4, 8, "--read_parts=8.*4 files"),
    ([1] * 24, 1, 2, "--read_parts=2.*1 files"),
    ([5, 1], 2, 2, "Expected 2 images in each part.*1 in one of"),
  ],
)
def test_what_cannot_be_parted_is_said(sizes, shards, parts, message):
  source = toy_bags.toy_bags(sizes, shards=shards)
  with pytest.raises(ValueError, match=message):
    DRAWN["images"](source, options(batch_size=2 * parts, read_parts=parts))
