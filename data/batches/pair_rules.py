"""Rules of which images of a bag its views are cut from."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from data.problems import DataError


@dataclasses.dataclass(frozen=True)
class PairRules:
  """Which images the views of a bag are cut from; named as the flags are.

  Attributes:
    views_per_bag: k >= 2: of distinct images as far as there are any, then of
      the same again.
    micle_weight: where it is not None, a third view is added, of the image of
      the first; its value matters to the loss only.
    pair_across: a metadata column that the pair's images differ in, or None.
  """

  views_per_bag: int = 2
  micle_weight: float | None = None
  pair_across: str | None = None

  @property
  def views(self):
    """Views of a bag in a batch."""
    return self.views_per_bag + (self.micle_weight is not None)

  @property
  def columns(self):
    """The metadata columns that are looked at."""
    return tuple(filter(None, [self.pair_across]))

  def check(self, source):
    """Raises DataError where a `BagSource` has no such column."""
    if self.pair_across not in (None, *source.metadata_columns):
      there = ", ".join(source.metadata_columns) or (
        "none; --metadata_columns of data.build_tfrecords keeps them, and TFDS "
        "data sets have none"
      )
      raise DataError(
        f"Expected a metadata column of {source.name} to pair images by. "
        f"Received: --pair_across={self.pair_across}. There are: {there}."
      )

  def draw(self, bag, seed):
    """Returns int32 (views,), the image of each view.

    Args:
      bag: a bag of a `BagSource`.
      seed: int64 (2,), for stateless draws.
    """
    num_images = tf.size(bag["image"])
    if self.views_per_bag > 2:
      return draw_several(num_images, seed, self.views_per_bag)
    if self.pair_across:
      texts = bag[f"metadata/{self.pair_across}"]
      pair = draw_across(num_images, seed, texts)
    else:
      pair = draw_pair(num_images, seed)
    first, second = pair
    mixed = self.micle_weight is not None
    return tf.stack([first, second, first] if mixed else [first, second])


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
  others = tf.maximum(num_images - 1, 1)
  first, skip = tf.unstack(_below(tf.stack([num_images, others]), seed))
  return first, (first + 1 + skip) % num_images


def draw_several(num_images, seed, count):
  """Draws images for `count` views: all distinct, or all of the bag in turn.

  Args:
    num_images: as in `draw_pair`.
    seed: as in `draw_pair`.
    count: of views.

  Returns:
    int32 (count,). The images in random order, from the first again where there
    are fewer than `count`.
  """
  order = tf.random.experimental.stateless_shuffle(tf.range(num_images), seed)
  return tf.gather(order, tf.range(count) % num_images)


def draw_across(num_images, seed, texts):
  """Draws a pair that differs in what is known of it (MedAug, Vu et al. 2021).

  Every ordered pair with different texts is equally likely; an empty text is
  not known, and not different. (arXiv 2102.10663 compares lateralities of one
  study.) Where a bag has no such pair, all of distinct images are drawn from; a
  lone image is paired with itself.

  Args:
    num_images: as in `draw_pair`.
    seed: as in `draw_pair`.
    texts: string (M,).

  Returns:
    As `draw_pair`.
  """
  known = texts != ""
  differs = (texts[:, None] != texts[None]) & known[:, None] & known[None]
  allowed = tf.ones([num_images, num_images], tf.bool)
  for rule in (~tf.eye(num_images, dtype=tf.bool), differs):
    allowed = tf.where(tf.reduce_any(rule), rule, allowed)
  pairs = tf.cast(tf.where(allowed), tf.int32)  # (p, 2)
  drawn = _below(tf.shape(pairs)[:1], seed)[0]
  return pairs[drawn, 0], pairs[drawn, 1]


def _below(ends, seed):
  """Draws int32 numbers, each uniform from 0 to below its int32 end."""
  shape = tf.shape(ends)
  # 63 bits: what is left over of them is no part of the chance that one sees.
  bits = tf.random.stateless_uniform(shape, seed, 0, tf.int64.max, tf.int64)
  return tf.cast(bits % tf.cast(ends, tf.int64), tf.int32)
