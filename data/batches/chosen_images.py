"""Which images of a bag its views are cut from."""

from __future__ import annotations

import tensorflow as tf


def draw(num_images, seed, count):
  """Draws the image of each of a bag's views.

  Args:
    num_images: int (), M >= 1.
    seed: int64 (2,), for stateless draws.
    count: of views, >= 2.

  Returns:
    int32 (count,), indices in [0, M).
  """
  if count > 2:
    return draw_several(num_images, seed, count)
  return tf.stack(draw_pair(num_images, seed))


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


def _below(ends, seed):
  """Draws int32 numbers, each uniform from 0 to below its int32 end."""
  shape = tf.shape(ends)
  # 63 bits: what is left over of them is no part of the chance that one sees.
  bits = tf.random.stateless_uniform(shape, seed, 0, tf.int64.max, tf.int64)
  return tf.cast(bits % tf.cast(ends, tf.int64), tf.int32)
