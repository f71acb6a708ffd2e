"""Labels that are known, whose they are, and which patients are taken."""

import math

import numpy as np
import pytest
import tensorflow as tf
import toy_bags

from data.batches.images import ImageBatches
from data.sources import bag_source, image_table, labelled_split
from data.views.geometry import ViewOptions

NAN = math.nan
VIEWS = ViewOptions(image_size=12, min_crop_area=0.9, horizontal_flip=False)


def split(sizes, *, unit="image", fraction=1.0, seed=0, **kwargs):
  source = toy_bags.toy_bags(sizes, **kwargs)
  return labelled_split.labelled(
    source, unit=unit, fraction=fraction, seed=seed
  )


def image_batches(source, batch_size=3):
  return ImageBatches(source, batch_size=batch_size, views=VIEWS, unit="image")


def images_of(source):
  """The (bag, image) of each view, in the order of evaluation."""
  batches = image_batches(source).batches()
  views = np.concatenate([b["views"][:, 0] for b in batches])
  return toy_bags.identity(views)


def test_unlabelled_images_are_left_out():
  found = split([2, 1, 3], labels=[[1, -1], [-1], [0, -1, 2]])
  assert found.num_items == 3
  np.testing.assert_array_equal(found.labels, [1, 0, 2])
  np.testing.assert_array_equal(
    images_of(found.source), [[0, 0], [2, 0], [2, 2]]
  )
  np.testing.assert_array_equal(found.table.row, [0, 3, 5])
  assert found.source.patients() == ("p0", "p2")


def test_a_bag_has_one_label_for_all_its_images():
  found = split(
    [2, 2, 2, 1], labels=[[1, -1], [0, 2], [2, 2], [-1]], unit="bag"
  )
  # The second bag's labels differ: it has none.
  assert found.num_items == 2
  np.testing.assert_array_equal(found.labels, [1, 2])
  np.testing.assert_array_equal(found.table.labels, [1, 1, 2, 2])
  np.testing.assert_array_equal(
    images_of(found.source), [[0, 0], [0, 1], [2, 0], [2, 1]]
  )


@pytest.mark.parametrize(
  ("labels", "expected"),
  [
    ([3, 3], 3),
    ([-1, 3], 3),
    ([-1, -1], -1),
    ([0, 3], -1),
    ([[1.0], [0.0], [-1.0], [NAN]], [1]),
    ([[0.0], [-1.0], [NAN]], [-1]),
    ([[0.0], [NAN]], [0]),
    ([[NAN], [NAN]], [NAN]),
    ([[1.0, 0.0, NAN], [0.0, -1.0, NAN]], [1, -1, NAN]),
  ],
)
def test_the_label_of_a_bag(labels, expected):
  dtype = tf.float32 if isinstance(labels[0], list) else tf.int64
  found = labelled_split.bag_label(tf.constant(labels, dtype))
  np.testing.assert_array_equal(found, expected)


def test_findings_of_which_none_is_stated_are_unlabelled():
  labels = [[[NAN, NAN, NAN], [NAN, 0, NAN]], [[-1, 1, NAN]]]
  found = split([2, 1], task="multi_label", labels=labels)
  np.testing.assert_array_equal(found.table.row, [1, 2])
  np.testing.assert_array_equal(found.labels, [[NAN, 0, NAN], [-1, 1, NAN]])


def test_what_is_uncertain_only_is_known_where_it_counts():
  labels = [[[-1, NAN, NAN]], [[0, -1, NAN]]]
  source = toy_bags.toy_bags([1, 1], task="multi_label", labels=labels)
  ignored = labelled_split.labelled(source, unit="image")
  assert (ignored.num_items, ignored.left_out) == (1, 1)
  counted = labelled_split.labelled(source, unit="image", uncertain="ones")
  assert (counted.num_items, counted.left_out) == (2, 0)


def test_fractions_are_nested_stratified_and_fixed_by_the_seed():
  # 40 patients of two bags each; three classes, 30, 8 and 2 patients.
  label_of = [0] * 30 + [1] * 8 + [2] * 2
  arguments = {
    "sizes": [1] * 80,
    "labels": [[label_of[bag // 2]] for bag in range(80)],
    "patients": [f"p{bag // 2}" for bag in range(80)],
  }
  taken = {}
  for fraction in (0.1, 0.2, 0.5, 1.0):
    found = split(fraction=fraction, **arguments)
    taken[fraction] = set(found.source.patients())
    # A patient has all images or none.
    assert found.source.num_images == 2 * len(taken[fraction])
    assert set(found.table.patient_id) == taken[fraction]
    assert len(images_of(found.source)) == found.source.num_images
    counts = np.bincount(
      [label_of[int(p[1:])] for p in taken[fraction]], minlength=3
    )
    np.testing.assert_array_equal(
      counts, np.ceil(np.array([30, 8, 2]) * fraction)
    )
  assert taken[0.1] < taken[0.2] < taken[0.5] < taken[1.0]
  again = split(fraction=0.2, **arguments).source.patients()
  assert set(again) == taken[0.2]
  other = split(fraction=0.2, seed=1, **arguments).source.patients()
  assert set(other) != taken[0.2]


def test_no_label_at_all_is_an_error():
  with pytest.raises(ValueError, match="no known label"):
    split([1, 2], labels=[[-1], [-1, -1]])


def test_the_table_has_the_order_of_the_images():
  source = toy_bags.toy_bags([2, 3, 1])
  table = image_table.read(source)
  bags = [int(bag[1:]) for bag in table.bag_id]
  np.testing.assert_array_equal(images_of(source)[:, 0], bags)
  np.testing.assert_array_equal(table.labels, np.array(bags) % 3)
  assert list(table.metadata["site"]) == [f"s{bag % 2}" for bag in bags]
  some = image_batches(source).views_at({1, 4})
  assert sorted(some) == [1, 4]
  np.testing.assert_array_equal(toy_bags.identity(some[4]), [1, 2])


def test_records_and_views_have_one_order(demo_records):
  source = bag_source.bag_tfrecords(demo_records, "train")
  table = image_table.read(source)
  batches = image_batches(source, 7).batches()
  labels = np.concatenate([batch["label"][:, 0] for batch in batches])
  np.testing.assert_array_equal(labels, table.labels)
  assert len(set(labels)) > 1
  assert len(set(table.row)) == source.num_images
