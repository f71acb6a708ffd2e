"""NT-Xent loss, with negatives from every replica."""

from __future__ import annotations

import functools

import tensorflow as tf

from tf_micle.contrastive import blocked_softmax, contrast

# From so many views on, their matrix of similarities is not held as a whole.
_MANY_CANDIDATES, _BLOCK = 8192, 1024

# Each with the anchors whose losses are added up before the mean is taken.
_ANCHORS_SUMMED = {"pairs": 2, "anchors": 1}


def nt_xent(
  projections,
  *,
  temperature,
  normalize=True,
  reduction="pairs",
  patients=None,
):
  """Returns the NT-Xent loss of a batch of positive pairs (SimCLR, eq. 1).

  Each of the 2B views of the global batch is an anchor in turn; its partner is
  to be found among the 2B - 1 other views. Within a replica context the views
  of all replicas are candidates, anchors are the replica's own. The mean of the
  replicas' losses is the one-replica loss on the whole batch, and so is its
  gradient, since gathering is differentiable.

  Two definitions of a batch's loss are in use. With l(i, j) the cross-entropy
  of anchor i whose partner is j, in nats:

    'pairs':   sum over pairs of l(i, j) + l(j, i), over B. SimCLR's code
               (google-research/simclr): its learning rates, weight decays and
               logged losses are for this one.
    'anchors': the same sum over 2B, half as much. The paper's equation.

  Of k > 2 views a bag, kB are anchors in turn, and each has the k - 1 others of
  its bag as positives, as `contrast.of_bags` says. 'anchors' is the mean over
  anchors and 'pairs' twice that, whatever k is.

  Args:
    projections: float (b, k, d), row i holding the k >= 2 views of bag i. Any
      float type; computed in float32.
    temperature: > 0, what cosine similarities are divided by.
    normalize: whether projections are scaled to unit length first.
    reduction: 'pairs' or 'anchors'.
    patients: int64 (b,), whose bag each is: views of an anchor's patient are
      then not among its negatives. None: all other bags' views are.

  Returns:
    loss: float32 (), over this replica's b bags, in nats.
    metrics: dict of float32 (): `contrastive_accuracy`, in [0, 1], the share of
      anchors most similar to a positive (chance is (k - 1) / (kB - 1));
      `contrastive_entropy`, in nats, of the softmax over candidates;
      `embedding_std`, the spread of unit-length projections relative to that
      of a uniform distribution on the sphere (1; collapse is 0).

  Raises:
    ValueError: for another `reduction`.
  """
  if reduction not in _ANCHORS_SUMMED:
    raise ValueError(
      f"Expected reduction in {tuple(_ANCHORS_SUMMED)}. "
      f"Received: reduction={reduction!r}"
    )
  z = tf.cast(projections, tf.float32)
  if normalize:
    z = tf.math.l2_normalize(z, axis=-1)
  k = z.shape[1]
  anchors = _view_major(z)  # (kb, d)
  gathered = _gather(z)  # (B, k, d)
  candidates = _view_major(gathered)  # (kB, d)

  b, global_b = tf.shape(z)[0], tf.shape(gathered)[0]
  first = _replica() * b + tf.range(b)  # (b,) positions among the candidates
  itself = tf.concat([first + j * global_b for j in range(k)], axis=0)  # (kb,)
  if k == 2 and patients is None:
    partner = tf.concat([first + global_b, first], axis=0)  # (2b,)
    of_anchors = itself, partner
    values, slopes = blocked_softmax.values, blocked_softmax.slopes
  else:
    of_anchors = (itself,)
    values, slopes = contrast.of_bags(
      tf.tile(tf.range(global_b), [k]),
      None if patients is None else tf.tile(_gather(patients), [k]),
    )
  if (candidates.shape[0] or 0) >= _MANY_CANDIDATES:
    values = functools.partial(
      blocked_softmax.blocked_values, block=_BLOCK, values=values, slopes=slopes
    )
  losses, hits, entropies = values(
    anchors, candidates, *of_anchors, temperature=temperature
  )
  return _ANCHORS_SUMMED[reduction] * tf.reduce_mean(losses), {
    "contrastive_accuracy": tf.reduce_mean(hits),
    "contrastive_entropy": tf.reduce_mean(entropies),
    "embedding_std": _spread(candidates),
  }


def _view_major(bags):
  """(b, k, d) -> (kb, d): all first views, then all second views, and so on."""
  return tf.concat(tf.unstack(bags, axis=1), axis=0)


def _gather(rows):
  """Returns all replicas' rows, (b, ...) -> (B, ...)."""
  context = tf.distribute.get_replica_context()
  if context is None or context.num_replicas_in_sync == 1:
    return rows
  # Of several workers it refuses a tensor that is an input of the step.
  gathered = context.all_gather(tf.identity(rows), axis=0)
  # The static shape is lost.
  whole = (rows.shape[0] or 0) * context.num_replicas_in_sync
  return tf.ensure_shape(gathered, (whole or None, *rows.shape[1:]))


def _replica():
  """Returns this replica's number, int32 ()."""
  context = tf.distribute.get_replica_context()
  if context is None or context.num_replicas_in_sync == 1:
    return tf.constant(0)
  replica = tf.convert_to_tensor(context.replica_id_in_sync_group)
  return tf.cast(replica, tf.int32)


def _spread(candidates):
  unit = tf.math.l2_normalize(candidates, axis=-1)
  width = tf.cast(tf.shape(unit)[1], tf.float32)
  return tf.reduce_mean(tf.math.reduce_std(unit, axis=0)) * tf.sqrt(width)
