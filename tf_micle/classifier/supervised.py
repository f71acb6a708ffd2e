"""Supervised losses and accuracy, on labels of which some are unknown."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

POLICIES = ("ignore", "zeros", "ones")


def masked_loss(logits, labels, *, focal_gamma=0.0, class_weights=None):
  """Returns each label's loss and whether the label is known.

  The loss is w * (1 - p) ** focal_gamma * -log(p), with p the probability given
  to the true value and w that value's weight (focal loss: Lin et al. 2017,
  arXiv 1708.02002, equations 4 and 5).

  Args:
    logits: float32 (n, classes).
    labels: int64 (n,), classes in [0, classes), negative where unknown
      (softmax); or float32 (n, classes), 1 or 0, negative where uncertain and
      NaN where missing (sigmoid).
    focal_gamma: >= 0; 0 is plain cross-entropy.
    class_weights: None for 1; or floats, (classes,) for int labels, and for
      float labels (2, classes): of the value 0, of the value 1.

  Returns:
    losses: float32, of the labels' shape, 0 where unknown, in nats.
    known: bool, of the labels' shape.

  Raises:
    ValueError: if `focal_gamma` or the shape of `class_weights` is another.
  """
  if not focal_gamma >= 0:
    raise ValueError(
      "Expected focal_gamma of at least 0. "
      f"Received: focal_gamma={focal_gamma}"
    )
  known = labels >= 0  # False for NaN.
  safe = tf.where(known, labels, tf.zeros_like(labels))
  if labels.dtype.is_integer:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(safe, logits)
  else:
    losses = tf.nn.sigmoid_cross_entropy_with_logits(safe, logits)
  if focal_gamma:
    losses *= _focus(losses, focal_gamma)
  if class_weights is not None:
    losses *= _weights(safe, class_weights, logits.shape[-1])
  return tf.where(known, losses, tf.zeros_like(losses)), known


def mean_over_known(losses, known):
  """Returns this replica's share of the mean loss, float32 ().

  The shares' mean over the replicas is the mean over the known labels of the
  global batch; 0 where none is known.

  Weighted losses, too, are divided by the labels' number, not by the sum of
  their weights. Dividing by that sum would undo the weights in a batch of one
  class; balanced weights have mean 1 over the training set as they are.

  Args:
    losses: float32, 0 where unknown, as `masked_loss` returns them.
    known: bool, of the same shape.
  """
  count = tf.reduce_sum(tf.cast(known, tf.float32))
  context = tf.distribute.get_replica_context()
  count = context.all_reduce(tf.distribute.ReduceOp.MEAN, count)
  return tf.math.divide_no_nan(tf.reduce_sum(losses), count)


def resolve_uncertain(labels, policy):
  """Returns labels with the uncertain ones as the policy takes them.

  CheXpert's U-Ignore, U-Zeros and U-Ones (Irvin et al. 2019, arXiv 1901.07031,
  section 3).

  Args:
    labels: float32 of any shape: 1, 0, -1 uncertain, NaN missing. Integers are
      classes, which cannot be uncertain: they are returned as they are.
    policy: 'ignore' leaves -1, which `masked_loss` masks; 'zeros' and 'ones'
      put 0 and 1 in its place.

  Raises:
    ValueError: for another policy.
  """
  if policy not in POLICIES:
    raise ValueError(f"Expected policy in {POLICIES}. Received: {policy!r}")
  if policy == "ignore" or labels.dtype.is_integer:
    return labels
  value = tf.ones_like(labels) if policy == "ones" else tf.zeros_like(labels)
  return tf.where(labels < 0, value, labels)  # NaN < 0 is False.


def count_labels(labels, num_classes):
  """Returns the counts that `balanced_class_weights` takes.

  Args:
    labels: as in `masked_loss`, uncertain ones resolved, of all training items.
    num_classes: classes or findings.

  Returns:
    int64 (classes,) for integer labels, (2, classes) for floats.
  """
  labels = np.asarray(labels)
  if np.issubdtype(labels.dtype, np.integer):
    return np.bincount(labels[labels >= 0], minlength=num_classes)
  return np.stack([(labels == value).sum(axis=0) for value in (0, 1)])


def balanced_class_weights(counts):
  """Returns weights inverse to how often a label's value occurs.

  A value that occurs n_c times among n known labels of k values weighs
  n / (k * n_c), so that every value has the same sum of weights, and the mean
  weight is 1. What never occurs has weight 0 and does not count in k.

  Args:
    counts: integers (classes,): known labels of each class; or (2, classes):
      negatives and positives of each finding.

  Returns:
    float32 of the same shape, for `masked_loss`.
  """
  counts = np.asarray(counts, np.float64)
  n = counts.sum(axis=0)
  values = (counts > 0).sum(axis=0)
  weights = np.divide(
    n, values * counts, out=np.zeros_like(counts), where=counts > 0
  )
  return weights.astype(np.float32)


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


def _focus(cross_entropy, gamma):
  """(1 - p) ** gamma, with p = exp(-cross_entropy)."""
  rest = -tf.math.expm1(-cross_entropy)
  # At 0 the power's slope is infinite for gamma < 1.
  return tf.maximum(rest, np.finfo(np.float32).tiny) ** gamma


def _weights(labels, class_weights, classes):
  weights = tf.convert_to_tensor(class_weights, tf.float32)
  shape = (classes,) if labels.dtype.is_integer else (2, classes)
  if tuple(weights.shape) != shape:
    raise ValueError(
      f"Expected class_weights of shape {shape}. "
      f"Received: shape={tuple(weights.shape)}"
    )
  if labels.dtype.is_integer:
    return tf.gather(weights, labels)
  return labels * weights[1] + (1 - labels) * weights[0]
