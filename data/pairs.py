"""Which two images of a bag make its positive pair."""

from __future__ import annotations

import tensorflow as tf


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
  seeds = tf.random.split(seed, 2)
  first = tf.random.stateless_uniform((), seeds[0], 0, num_images, tf.int32)
  others = tf.maximum(num_images - 1, 1)
  skip = tf.random.stateless_uniform((), seeds[1], 0, others, tf.int32)
  second = (first + 1 + skip) % num_images
  return first, second
