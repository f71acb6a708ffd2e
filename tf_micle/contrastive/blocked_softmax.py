"""Blocked softmax of NT-Xent, for many candidates.

The full matrix of similarities has a row an anchor and a column a candidate:
for 32,768 views 4 GiB, and as much again for each of its derivatives. Here a
block of rows exists at a time, forward and backward.
"""

from __future__ import annotations

import tensorflow as tf


def values(anchors, candidates, itself, partner, *, temperature):
  """Returns loss, hit and entropy of each anchor (SimCLR, eq. 1).

  Args:
    anchors: float32 (n, d).
    candidates: float32 (m, d).
    itself: int32 (n,), the candidate that the anchor is; it does not take part.
    partner: int32 (n,), the candidate to be found.
    temperature: > 0.

  Returns:
    Three float32 (n,): the cross-entropy in nats, whether the partner is the
    nearest (1 or 0), and the entropy of the softmax in nats.
  """
  logits = _logits(anchors, candidates, itself, temperature)  # (n, m)
  log_p = tf.nn.log_softmax(logits)
  nearest = tf.argmax(logits, axis=1, output_type=tf.int32)
  # exp(log_p) is exactly 0 for the masked anchor itself; its log_p is finite.
  return (
    tf.nn.sparse_softmax_cross_entropy_with_logits(partner, logits),
    tf.cast(tf.equal(nearest, partner), tf.float32),
    -tf.reduce_sum(tf.exp(log_p) * log_p, axis=1),
  )


def slopes(anchors, candidates, itself, partner, *, temperature):
  """Returns the derivative of each anchor's loss to its logits, (n, m)."""
  logits = _logits(anchors, candidates, itself, temperature)
  return tf.nn.softmax(logits) - tf.one_hot(partner, tf.shape(candidates)[0])


def blocked_values(
  anchors,
  candidates,
  *of_anchors,
  temperature,
  block,
  values=values,
  slopes=slopes,
):
  """As `values`, `block` anchors at a time.

  Gradients go through the losses alone.

  Args:
    anchors: as in `values`.
    candidates: as in `values`.
    *of_anchors: integers (n,), what else `values` is told of each anchor.
    temperature: as in `values`.
    block: anchors at a time.
    values: the function of this name here, or one like it.
    slopes: that of the losses of `values`.

  Returns:
    What `values` returns.
  """
  n, d = tf.shape(anchors)[0], anchors.shape[-1]
  # What fills up the last block is cut off again, and has no gradient.
  missing = -n % block
  of_anchors = [
    tf.reshape(tf.pad(part, [[0, missing]]), (-1, block)) for part in of_anchors
  ]

  def in_blocks(rows):
    return tf.reshape(tf.pad(rows, [[0, missing], [0, 0]]), (-1, block, d))

  def one_after_the_other(function, *elements):
    return tf.map_fn(
      lambda parts: function(*parts),
      elements,
      fn_output_signature=(tf.TensorSpec((block,), tf.float32),) * 3,
      parallel_iterations=1,
    )

  @tf.custom_gradient
  def losses(anchors, candidates):
    def one(rows, *parts):
      return values(rows, candidates, *parts, temperature=temperature)

    found = one_after_the_other(one, in_blocks(anchors), *of_anchors)

    def gradient(upstream, *_):
      upstream = tf.reshape(tf.pad(upstream, [[0, missing]]), (-1, block))

      def add(of_candidates, parts):
        rows, *parts, upstream = parts
        p = slopes(rows, candidates, *parts, temperature=temperature)
        p *= upstream[:, None] / temperature  # (block, m)
        return of_candidates + tf.matmul(p, rows, transpose_a=True), (
          tf.matmul(p, candidates)
        )

      return _scan(
        add,
        tf.zeros_like(candidates),
        (in_blocks(anchors), *of_anchors, upstream),
        n,
      )

    return tuple(tf.reshape(part, (-1,))[:n] for part in found), gradient

  return losses(anchors, candidates)


def _scan(add, total, elements, n):
  """Runs `add(total, parts)` over blocks; returns all rows and the total."""
  blocks = tf.shape(elements[0])[0]
  rows = tf.TensorArray(
    tf.float32, size=blocks, element_shape=elements[0].shape[1:]
  )

  def step(number, total, rows):
    total, own = add(total, [part[number] for part in elements])
    return number + 1, total, rows.write(number, own)

  _, total, rows = tf.while_loop(
    lambda number, *_: number < blocks,
    step,
    (0, total, rows),
    parallel_iterations=1,
  )
  stacked = tf.reshape(rows.stack(), (-1, elements[0].shape[-1]))
  return stacked[:n], total


def _logits(anchors, candidates, itself, temperature):
  logits = tf.matmul(anchors, candidates, transpose_b=True) / temperature
  is_self = tf.one_hot(itself, tf.shape(candidates)[0], True, False)
  return tf.where(is_self, logits.dtype.min, logits)
