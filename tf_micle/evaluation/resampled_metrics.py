"""Metrics of many resamples at once.

Items are the same in every resample, and so is the order of their scores; only
how often each counts differs. What is shared is prepared once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tf_micle.evaluation import metrics


def of_weights(
  labels: np.ndarray,
  probabilities: np.ndarray,
  *,
  specificity: float = 0.9,
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """`metrics.measure` of many resamples, which share the order of the scores.

  Args:
    labels, probabilities, specificity: as there.

  Returns:
    A function of (B, n) float weights, how often each item counts in each of B
    resamples: 0, 1, 2 and so on. It gives the same, as (B,) and (B, C) arrays.
  """
  labels, probabilities, of_all = metrics.prepared(labels, probabilities)
  of_each = of_classes(labels, probabilities, specificity)
  return lambda weights: metrics.with_classes(of_all(weights), of_each(weights))


def of_classes(labels, probabilities, specificity=0.9):
  """As `of_weights`, for each class a tuple like `metrics.PER_CLASS`."""
  classes = [
    _of_ranks(*ranked(labels, probabilities, c), specificity)
    for c in range(probabilities.shape[1])
  ]

  def found(weights):
    counts = weights.astype(np.int64)
    return [of_class(counts) for of_class in classes]

  return found


def ranked(labels, probabilities, c):
  """`metrics.binary` by falling score: (truth, score, places of the items)."""
  truth, score, known = metrics.binary(labels, probabilities, c)
  order = np.argsort(-score, kind="stable")
  return truth[order], score[order], np.flatnonzero(known)[order]


def among_first(truth, places, at):
  """How many of the first ranked items are positive, and negative.

  Args:
    truth: (m,) bool, by rank.
    places: (m,) where the items stand among all n.
    at: (k,) how many items are the first ones, 0 to m each.

  Returns:
    A function of (B, n) integers, how often each item counts: two (B, k) float
    arrays. Integers are summed five times as fast.
  """
  kinds = [
    (places[of], np.append(0, np.cumsum(of))[at]) for of in (truth, ~truth)
  ]

  def found(counts):
    both = []
    for own, ends in kinds:
      sums = np.zeros((len(counts), len(own) + 1), counts.dtype)
      np.cumsum(np.take(counts, own, axis=1), axis=1, out=sums[:, 1:])
      both.append(np.take(sums, ends, axis=1).astype(float))
    return both

  return found


def _of_ranks(truth, score, places, specificity):
  """Counts -> (AUROC, average precision, sensitivity), (B,) each.

  scikit-learn's roc_curve takes one set of weights and sorts at each call; a
  bootstrap asks for it ten thousand times. The scores are the same in every
  resample, so one sort serves all, and only the thresholds where a positive is
  gained add to the sums.
  """
  edges = np.flatnonzero(np.diff(score)) + 1
  start, end = np.append(0, edges), np.append(edges, len(score))
  hits = np.append(0, np.cumsum(truth))
  gains = hits[end] > hits[start]
  start, end = start[gains], end[gains]
  mixed = np.flatnonzero(end - start > hits[end] - hits[start])
  at = np.concatenate([[0], end, [len(truth)], start[mixed]])
  first = among_first(truth, places, at)
  last = len(end) + 1

  def found(counts):
    true, false = first(counts)
    positives, negatives = true[:, last], false[:, last]
    false_before = false[:, last + 1 :]
    true, false = true[:, :last], false[:, 1:last]
    gained = np.diff(true, axis=1)  # (B, steps)
    # Each positive is above the negatives not yet seen, and halfway above ties.
    tied = _dot(gained[:, mixed], false[:, mixed] - false_before)
    above = positives * negatives - _dot(gained, false) + tied / 2
    called = np.maximum(true[:, 1:] + false, np.finfo(float).tiny)
    precise = _dot(gained, true[:, 1:] / called)
    allowed = (1 - specificity + 1e-9) * negatives
    steps = (false <= allowed[:, None]).sum(axis=1, keepdims=True)
    reached = np.take_along_axis(true, steps, axis=1)[:, 0]
    negatives = np.where(positives > 0, negatives, 0)
    positives = np.where(negatives > 0, positives, 0)
    return (
      metrics.ratio(above, positives * negatives),
      metrics.ratio(precise, positives),
      metrics.ratio(reached, positives),
    )

  return found


def _dot(these, others):
  """(B, k) twice -> (B,)."""
  return np.einsum("bk,bk->b", these, others)
