"""Batches of views, as the training steps take them."""

from __future__ import annotations

import tensorflow as tf

from tf_micle.views import photometry


def augment(views, seed, step, options):
  """Returns views as the encoder sees them in training at `step`.

  Args:
    views: uint8 (b, v, h, w, 3), this replica's rows of the global batch.
    seed: int, the run's.
    step: int64 (), counted from 0.
    options: `photometry_options.PhotometryOptions`.

  Returns:
    float32 (b, v, h, w, 3) in [0, 1].
  """
  drawn = draw(views, seed, step, options)
  seen = photometry.apply(merge(views), drawn)
  return tf.reshape(seen, tf.shape(views))


def draw(views, seed, step, options):
  """Returns the `photometry.Parameters` of this replica's views.

  Args:
    views: as in `augment`.
    seed: as in `augment`.
    step: as in `augment`.
    options: as in `augment`.
  """
  context = tf.distribute.get_replica_context()
  replicas = context.num_replicas_in_sync if context else 1
  replica = context.replica_id_in_sync_group if context else 0
  n = tf.shape(views)[0] * tf.shape(views)[1]
  # Drawn for the global batch, so that the devices' number changes nothing.
  seeds = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
  drawn = photometry.draw(seeds, n * replicas, options)
  first = tf.cast(replica, tf.int32) * n
  return tf.nest.map_structure(lambda x: x[first : first + n], drawn)


def see_part(views, drawn, first, count):
  """Returns a part of what `augment` returns, merged.

  Args:
    views: uint8 (b, v, h, w, 3).
    drawn: what `draw` returned for them.
    first: int32 (), row of the part's first.
    count: rows of the part, an int.

  Returns:
    float32 (count * v, h, w, 3) in [0, 1].
  """
  v = views.shape[1]

  def part(x, rows, per_row):
    return tf.slice(
      x,
      [first * per_row] + [0] * (x.shape.rank - 1),
      [rows * per_row, *x.shape[1:]],
    )

  own = tf.nest.map_structure(lambda x: part(x, count, v), drawn)
  return photometry.apply(merge(part(views, count, 1)), own)


def map_filled(function, images):
  """Returns `function(images)`; where there is no image, that of none.

  The last batch of a pass may leave a replica without any, and a network is not
  to be asked about an empty batch: oneDNN's convolution then returns its
  input's shape (TensorFlow 2.15 on processors with AVX-512).

  Args:
    function: from images (n, h, w, 3) with n >= 1 to a tensor (n, ...).
    images: uint8 (n, h, w, 3), n >= 0.
  """
  if images.shape[0]:
    return function(images)
  count = tf.shape(images)[0]
  fill = tf.cast(tf.equal(count, 0), tf.int32)
  return function(tf.pad(images, [[0, fill]] + [[0, 0]] * 3))[:count]


def labels(batch):
  """Returns `label` int64 (b, v) or `labels` float32 (b, v, classes)."""
  return batch["label" if "label" in batch else "labels"]


def merge(x):
  """(b, v, ...) -> (b * v, ...)."""
  return tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0))


def split(x, like):
  """(b * v, d) -> (b, v, d), with `like` (b, v, ...)."""
  return tf.reshape(x, [tf.shape(like)[0], tf.shape(like)[1], x.shape[-1]])
