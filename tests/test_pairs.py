"""Which images make a pair: distinct, uniform, a lone one twice."""

import collections
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from data.batches import chosen_images


def draw(
  num_images, draws, seed=0, function=chosen_images.draw_pair, **options
):
  """Returns (draws, 2) indices, one pair for each position in a run."""
  pair = tf.data.Dataset.range(draws).map(
    lambda k: tf.stack(
      function(num_images, tf.stack([np.int64(seed), k]), **options)
    )
  )
  return pair.batch(draws).get_single_element().numpy()


@pytest.mark.parametrize("num_images", [2, 3, 6])
def test_pairs_are_distinct_and_every_ordered_pair_equally_likely(num_images):
  drawn = draw(num_images, 3000)
  counts = collections.Counter(map(tuple, drawn))
  ordered = num_images * (num_images - 1)
  assert all(first != second for first, second in counts)
  assert len(counts) == ordered
  assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_a_lone_image_is_paired_with_itself():
  np.testing.assert_array_equal(draw(1, 20), np.zeros((20, 2)))


def test_the_seed_fixes_the_pair():
  np.testing.assert_array_equal(draw(5, 50), draw(5, 50))
  assert (draw(5, 50) != draw(5, 50, seed=1)).any()


@pytest.mark.parametrize("num_images", [1, 2, 3, 5])
def test_several_views_are_of_distinct_images_first(num_images):
  drawn = draw(num_images, 2000, function=chosen_images.draw_several, count=3)
  distinct = min(num_images, 3)
  assert {len(set(row)) for row in map(tuple, drawn)} == {distinct}
  orders = collections.Counter(map(tuple, drawn[:, :distinct]))
  assert len(orders) == math.perm(num_images, distinct)
  if num_images > 1:
    assert stats.chisquare(list(orders.values())).pvalue > 0.001
