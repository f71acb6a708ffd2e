"""Bags to views: what is paired, in which order, and from any step on."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import toy_bags

from data.batches.images import ImageBatches
from data.batches.item_stream import BatchOptions
from data.batches.labelled import LabelledBatches
from data.batches.pairs import PairBatches
from data.sources import labelled_split
from data.views import geometry

VIEWS = geometry.ViewOptions(image_size=12, min_crop_area=0.5)
SIZES = [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5]


def pairs(source=None, use_micle=True, views=2, **kwargs):
  options = BatchOptions(
    **{"batch_size": 4, "views": VIEWS, "seed": 0, **kwargs}
  )
  source = source or toy_bags.toy_bags(SIZES)
  return PairBatches(source, options, use_micle=use_micle, views_per_item=views)


def batches(count, source=None, first_step=0, **kwargs):
  stream = pairs(source, **kwargs).batches(first_step)
  return list(stream.take(count).as_numpy_iterator())


def identities(batch):
  """(b, 2, 2): for each view, which bag and which image of it."""
  return toy_bags.identity(batch["views"])


def test_micle_pairs_distinct_images_of_one_bag():
  for batch in batches(20):
    assert batch["views"].shape == (4, 2, 12, 12, 3)
    assert batch["views"].dtype == np.uint8
    for (bag_a, image_a), (bag_b, image_b) in identities(batch):
      assert bag_a == bag_b
      assert (image_a != image_b) == (SIZES[bag_a] > 1)


def test_simclr_pairs_two_views_of_one_image():
  for batch in batches(20, use_micle=False):
    found = identities(batch)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])


@pytest.mark.parametrize("use_micle", [True, False])
def test_several_views_of_a_bag_and_their_labels(use_micle):
  for batch in batches(10, use_micle=use_micle, views=4):
    assert batch["views"].shape == (4, 4, 12, 12, 3)
    found = identities(batch)
    assert (found[:, :, 0] == found[:, :1, 0]).all()
    for of_bag in found:
      distinct = min(SIZES[of_bag[0, 0]], 4) if use_micle else 1
      assert len(set(of_bag[:, 1])) == distinct
    np.testing.assert_array_equal(batch["label"], found[:, :, 0] % 3)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_global_seed_changes_nothing(seed):
  expected = batches(3)
  tf.random.set_seed(seed)
  try:
    found = batches(3)
  finally:
    tf.random.set_seed(None)
  for one, other in zip(expected, found):
    np.testing.assert_array_equal(one["views"], other["views"])


@pytest.mark.parametrize(("use_micle", "items"), [(True, 11), (False, 36)])
def test_an_epoch_is_one_pass_and_no_batch_holds_an_item_twice(
  use_micle, items
):
  steps = pairs(use_micle=use_micle).steps_per_epoch
  assert steps == items // 4
  orders = []
  for epoch in range(2):
    seen = batches(steps, use_micle=use_micle, first_step=epoch * steps)
    firsts = np.concatenate([identities(b)[:, 0] for b in seen])
    keys = [tuple(f[: 1 if use_micle else 2]) for f in firsts]
    assert len(set(keys)) == len(keys)
    orders.append(keys)
  assert orders[0] != orders[1]


@pytest.mark.parametrize("use_micle", [True, False])
@pytest.mark.parametrize("cache", [True, False])
def test_starting_at_a_step_gives_what_an_uninterrupted_run_sees(
  use_micle, cache
):
  arguments = {"use_micle": use_micle, "cache": cache}
  whole = batches(7, **arguments)
  for step in (1, 2, 5):
    resumed = batches(7 - step, first_step=step, **arguments)
    for expected, got in zip(whole[step:], resumed):
      for key, value in expected.items():
        np.testing.assert_array_equal(got[key], value)


def test_another_seed_gives_other_pairs():
  one, other = batches(3), batches(3, seed=1)
  assert any((a["views"] != b["views"]).any() for a, b in zip(one, other))


def test_over_epochs_every_pair_of_a_bag_comes_up():
  counts = collections.Counter()
  for batch in batches(120, toy_bags.toy_bags([3, 1]), batch_size=2):
    for bag, images in zip(
      identities(batch)[:, 0, 0], identities(batch)[:, :, 1]
    ):
      counts[(bag, *images)] += 1
  assert counts.pop((1, 0, 0)) == 120
  assert len(counts) == 6
  assert min(counts.values()) > 8


def test_labels_follow_their_images():
  for batch in batches(5, use_micle=False):
    bags = identities(batch)[..., 0]
    np.testing.assert_array_equal(batch["label"], bags % 3)
    np.testing.assert_array_equal(batch["patient_key"], bags[:, 0])


def test_image_batches_are_every_image_once_with_its_label():
  source = toy_bags.toy_bags(SIZES)
  images = ImageBatches(source, batch_size=8, views=VIEWS, unit="image")
  seen = list(images.batches().as_numpy_iterator())
  views = np.concatenate([b["views"] for b in seen])
  labels = np.concatenate([b["label"] for b in seen])
  assert views.shape == (36, 1, 12, 12, 3)
  found = toy_bags.identity(views)[:, 0]
  assert len({tuple(f) for f in found}) == 36
  np.testing.assert_array_equal(labels[:, 0], found[:, 0] % 3)


@pytest.mark.parametrize(
  ("sizes", "use_micle", "message"),
  [
    ([9], True, "at least 2 bags.*Leave out --use_micle"),
    ([1], False, "at least 2 images"),
    ([2, 2, 2], True, "has 3.*--train_batch_size=4.*Set it to 3"),
  ],
)
def test_too_little_data_is_an_error_not_a_hang(sizes, use_micle, message):
  with pytest.raises(ValueError, match=message):
    batches(1, toy_bags.toy_bags(sizes), use_micle=use_micle)


def test_one_patient_with_many_images_runs_without_micle():
  assert batches(1, toy_bags.toy_bags([9]), use_micle=False)


def training_batches(
  count, sizes=SIZES, unit="image", batch_size=4, first_step=0
):
  split = labelled_split.labelled(toy_bags.toy_bags(sizes), unit=unit)
  options = BatchOptions(batch_size=batch_size, views=VIEWS, seed=0)
  stream = LabelledBatches(split, options, bag_views=3).batches(first_step)
  return list(stream.take(count).as_numpy_iterator())


@pytest.mark.parametrize(
  ("unit", "views", "items"), [("image", 1, 36), ("bag", 3, 11)]
)
def test_supervised_epochs_see_every_item_once_though_batches_span_them(
  unit, views, items
):
  seen = []
  for batch in training_batches(2 * items // 4 + 1, unit=unit):
    assert batch["views"].shape == (4, views, 12, 12, 3)
    assert batch["label"].shape == (4, views)
    found = identities(batch)
    np.testing.assert_array_equal(batch["label"], found[..., 0] % 3)
    seen += [tuple(f[0] if unit == "image" else f[0][:1]) for f in found]
  for epoch in (seen[:items], seen[items : 2 * items]):
    assert len(set(epoch)) == items
  assert seen[:items] != seen[items : 2 * items]


def test_a_bags_views_are_its_images_in_random_order_repeated_if_few():
  orders = set()
  for batch in training_batches(20, sizes=[5, 2], unit="bag", batch_size=2):
    for bag in identities(batch):
      images = tuple(bag[:, 1])
      orders.add((bag[0, 0], images))
      if bag[0, 0] == 0:
        assert len(set(images)) == 3
      else:
        assert images[0] != images[1]
        assert images[2] == images[0]
  assert len({images for which, images in orders if which == 0}) > 10


@pytest.mark.parametrize("unit", ["image", "bag"])
def test_supervised_training_goes_on_where_it_was(unit):
  whole = training_batches(12, unit=unit)
  for step in (1, 5, 9):
    resumed = training_batches(12 - step, unit=unit, first_step=step)
    for expected, got in zip(whole[step:], resumed):
      for key, value in expected.items():
        np.testing.assert_array_equal(got[key], value)


def test_a_split_may_be_smaller_than_a_batch():
  (batch,) = training_batches(1, sizes=[1, 1, 1], batch_size=7)
  counts = collections.Counter(identities(batch)[:, 0, 0])
  assert sorted(counts.values()) == [2, 2, 3]
