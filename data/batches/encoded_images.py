"""Batches of views of a stream of encoded images, in its order."""

from __future__ import annotations

import tensorflow as tf


def batches(encoded, file_views, *, batch_size):
  """Returns batches of views from a stream of encoded images.

  Args:
    encoded: function without arguments; returns an iterator of (position,
      encoded bytes). It is taken as far as batches are asked for, and a few
      batches ahead.
    file_views: `FileViews`.
    batch_size: views in a batch; the last one may have fewer.

  Returns:
    `tf.data.Dataset` of (positions int64 (b,), views uint8
    (b, image_size, image_size, 3)), in the order of the stream.
  """
  images = tf.data.Dataset.from_generator(
    encoded,
    output_signature=(
      tf.TensorSpec((), tf.int64),
      tf.TensorSpec((), tf.string),
    ),
  )

  @tf.autograph.experimental.do_not_convert
  def to_view(position, image):
    return position, file_views.decoded(image)

  images = images.map(to_view, tf.data.AUTOTUNE, deterministic=True)
  return images.batch(batch_size).prefetch(2)
