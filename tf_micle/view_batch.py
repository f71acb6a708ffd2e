"""A batch of views, as the training steps take it."""

from __future__ import annotations

import tensorflow as tf

from tf_micle import photometry


def augment(views, seed, step, options):
  """Returns views as the encoder sees them in training at `step`.

  Args:
    views: uint8 (b, v, h, w, 3), this replica's rows of the global batch.
    seed: int, the run's.
    step: int64 (), counted from 0.
    options: `photometry.PhotometryOptions`.

  Returns:
    float32 (b, v, h, w, 3) in [0, 1].
  """
  context = tf.distribute.get_replica_context()
  replicas = context.num_replicas_in_sync if context else 1
  replica = context.replica_id_in_sync_group if context else 0
  images = merge(views)  # (b * v, h, w, 3)
  n = tf.shape(images)[0]
  # Drawn for the global batch, so that the devices' number changes nothing.
  seeds = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
  drawn = photometry.draw(seeds, n * replicas, options)
  first = tf.cast(replica, tf.int32) * n
  own = tf.nest.map_structure(lambda x: x[first : first + n], drawn)
  seen = photometry.apply(images, own)
  return tf.reshape(seen, tf.shape(views))


def labels(batch):
  """Returns `label` int64 (b, v) or `labels` float32 (b, v, classes)."""
  return batch["label" if "label" in batch else "labels"]


def merge(x):
  """(b, v, ...) -> (b * v, ...)."""
  return tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0))


def split(x, like):
  """(b * v, d) -> (b, v, d), with `like` (b, v, ...)."""
  return tf.reshape(x, [tf.shape(like)[0], tf.shape(like)[1], x.shape[-1]])
