"""Losses and accuracy on labels of which some are unknown."""

from __future__ import annotations

import tensorflow as tf


def masked_loss(logits, labels):
  """Returns each label's loss and whether the label is known.

  Args:
    logits: float32 (n, classes).
    labels: int64 (n,), classes in [0, classes), negative where unknown
      (softmax); or float32 (n, classes), 1 or 0, negative where uncertain and
      NaN where missing (sigmoid).

  Returns:
    losses: float32, of the labels' shape, 0 where unknown, in nats.
    known: bool, of the labels' shape.
  """
  known = labels >= 0  # False for NaN.
  safe = tf.where(known, labels, tf.zeros_like(labels))
  if labels.dtype.is_integer:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(safe, logits)
  else:
    losses = tf.nn.sigmoid_cross_entropy_with_logits(safe, logits)
  return tf.where(known, losses, tf.zeros_like(losses)), known


def correct(logits, labels):
  """Returns whether each label is predicted, bool, of the labels' shape.

  Args:
    logits: as in `masked_loss`; the largest one wins (int labels), or those
      above 0 are positive (float labels).
    labels: as in `masked_loss`; False where unknown.
  """
  if labels.dtype.is_integer:
    return tf.equal(tf.argmax(logits, axis=-1), labels)
  return tf.equal(tf.cast(logits > 0, labels.dtype), labels)
