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
  # 63 bits: what is left over of them is no part of the chance that one sees.
  bits = tf.random.stateless_uniform((2,), seed, 0, tf.int64.max, tf.int64)
  others = tf.maximum(num_images - 1, 1)
  ranges = tf.cast(tf.stack([num_images, others]), tf.int64)
  first, skip = tf.unstack(tf.cast(bits % ranges, tf.int32))
  return first, (first + 1 + skip) % num_images
