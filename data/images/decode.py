"""Decoding of stored images, by TensorFlow."""

from __future__ import annotations

import tensorflow as tf


def decode(encoded):
  """Decodes a JPEG, PNG, BMP or GIF string () to uint8 (h, w, 3)."""
  image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
  image.set_shape((None, None, 3))
  return image
