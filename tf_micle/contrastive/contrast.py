"""Contrast of anchors with several positives, or without some negatives.

An anchor's bag and patient say what the other views of the batch are to it:

  positives: the other views of its bag.
  left out: itself and, where patients are given, views of its patient that are
    no positives (false negatives that are eliminated, as in Huynh et al. 2022,
    arXiv 2011.11765, though there they are found by similarity).
  negatives: all others.
"""

from __future__ import annotations

import tensorflow as tf


def of_bags(bags, patients=None):
  """Returns the loss of anchors and its slope, for `blocked_values`.

  The loss of anchor i with the positives P is the mean over p in P of
  -s(i, p) + log sum_a exp s(i, a), with similarities s over temperature: the
  mean outside of the logarithm (Khosla et al. 2020, arXiv 2004.11362, eq. 2).
  The sum is over positives and negatives.

  Args:
    bags: int32 (m,), of each candidate.
    patients: int64 (m,), of each candidate; None: no view is left out for its
      patient.

  Returns:
    Two functions as `blocked_softmax.values` and `blocked_softmax.slopes`, with
    `itself` as the only part of an anchor. A hit is a positive as the nearest;
    the entropy is that over positives and negatives.
  """

  def sets(itself):
    """int32 (n,) -> positives, and these with negatives, bool (n, m) each."""
    is_self = tf.one_hot(itself, tf.shape(bags)[0], True, False)
    positive = tf.gather(bags, itself)[:, None] == bags[None]
    negative = ~positive
    if patients is not None:
      negative &= tf.gather(patients, itself)[:, None] != patients[None]
    positive &= ~is_self
    return positive, positive | negative

  def values(anchors, candidates, itself, *, temperature):
    positive, others = sets(itself)
    logits = _logits(anchors, candidates, temperature)  # (n, m)
    attracted = tf.reduce_sum(tf.where(positive, logits, 0.0), axis=1)
    others = _only(others, logits)
    losses = tf.reduce_logsumexp(others, axis=1) - attracted / _count(positive)
    log_p = tf.nn.log_softmax(others)
    nearest = tf.one_hot(tf.argmax(others, axis=1), tf.shape(bags)[0])
    hits = tf.reduce_sum(tf.where(positive, nearest, 0.0), axis=1)
    return losses, hits, -tf.reduce_sum(tf.exp(log_p) * log_p, axis=1)

  def slopes(anchors, candidates, itself, *, temperature):
    positive, others = sets(itself)
    logits = _logits(anchors, candidates, temperature)
    p = tf.nn.softmax(_only(others, logits))
    return p - tf.cast(positive, tf.float32) / _count(positive)[:, None]

  return values, slopes


def _logits(anchors, candidates, temperature):
  return tf.matmul(anchors, candidates, transpose_b=True) / temperature


def _only(taking_part, logits):
  return tf.where(taking_part, logits, logits.dtype.min)


def _count(those):
  return tf.reduce_sum(tf.cast(those, tf.float32), axis=1)
