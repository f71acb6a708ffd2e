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
    pair_by: a metadata column that the pair's images share, or None.
    pair_across: a metadata column that they differ in, or None.
  """

  views_per_bag: int = 2
  micle_weight: float | None = None
  pair_by: str | None = None
  pair_across: str | None = None

  @property
  def views(self):
    """Views of a bag in a batch."""
    return self.views_per_bag + (self.micle_weight is not None)

  @property
  def columns(self):
    """The metadata columns that are looked at."""
    return tuple(filter(None, (self.pair_by, self.pair_across)))

  def check(self, source):
    """Raises DataError where a `BagSource` has no such columns."""
    unknown = [
      f"--{name}={getattr(self, name)}"
      for name in ("pair_by", "pair_across")
      if getattr(self, name) not in (None, *source.metadata_columns)
    ]
    if unknown:
      there = ", ".join(source.metadata_columns) or (
        "none; --metadata_columns of data.build_tfrecords keeps them, and TFDS "
        "data sets have none"
      )
      raise DataError(
        f"Expected metadata columns of {source.name} to pair images by. "
        f"Received: {', '.join(unknown)}. There are: {there}."
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
    if self.columns:
      by, across = (
        bag[f"metadata/{name}"] if name else None
        for name in (self.pair_by, self.pair_across)
      )
      pair = draw_by_metadata(num_images, seed, by=by, across=across)
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


def draw_by_metadata(num_images, seed, *, by=None, across=None):
  """Draws a pair by what is known of its images (MedAug, Vu et al. 2021).

  Every ordered pair of distinct images with the same text in `by` and different
  ones in `across` is equally likely; an empty text is not known, and neither
  the same nor different. (arXiv 2102.10663 compares the same study, and the
  same or different lateralities.) Where a bag has no such pair, its pairs that
  keep `by` are drawn from; else those that keep `across`; else all of distinct
  images; a lone image is paired with itself.

  Args:
    num_images: as in `draw_pair`.
    seed: as in `draw_pair`.
    by: string (M,) or None.
    across: string (M,) or None.

  Returns:
    As `draw_pair`.
  """
  allowed = tf.ones([num_images, num_images], tf.bool)
  distinct = ~tf.eye(num_images, dtype=tf.bool)
  shared, differs = distinct, distinct
  if by is not None:
    shared &= _known(by) & (by[:, None] == by[None])
  if across is not None:
    differs &= _known(across) & (across[:, None] != across[None])
  for rule in (distinct, differs, shared, shared & differs):
    allowed = tf.where(tf.reduce_any(rule), rule, allowed)
  pairs = tf.cast(tf.where(allowed), tf.int32)  # (p, 2)
  drawn = _below(tf.shape(pairs)[:1], seed)[0]
  return pairs[drawn, 0], pairs[drawn, 1]


def _known(texts):
  """Text (M,) -> bool (M, M): whether both of a pair say something."""
  said = texts != ""
  return said[:, None] & said[None]


def _below(ends, seed):
  """Draws int32 numbers, each uniform from 0 to below its int32 end."""
  shape = tf.shape(ends)
  # 63 bits: what is left over of them is no part of the chance that one sees.
  bits = tf.random.stateless_uniform(shape, seed, 0, tf.int64.max, tf.int64)
  return tf.cast(bits % tf.cast(ends, tf.int64), tf.int32)
