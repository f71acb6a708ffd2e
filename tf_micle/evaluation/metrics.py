"""Metrics of probabilities: discrimination, decisions and calibration.

labels, everywhere: (n,) integers, -1 unknown (one label an item), or (n, C)
floats: 1, 0, -1 uncertain, NaN not stated (findings). probabilities: (n, C)
in [0, 1]. Only known labels count: an item of unknown label, and an uncertain
or missing finding, are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BINS = 15
PER_CLASS = ("auroc", "auprc", "sensitivity")


def measure(
  labels: np.ndarray,
  probabilities: np.ndarray,
  *,
  specificity: float = 0.9,
) -> dict[str, np.ndarray]:
  """All metrics of one set of items.

  Args:
    labels: (n,) or (n, C), as above.
    probabilities: (n, C).
    specificity: in [0, 1], the one at which sensitivity is read.

  Returns:
    Float arrays: scalars of shape () and per class of shape (C,).
    auroc, auprc (average precision) and sensitivity, per class: each class
    against the rest, NaN for a class without positives or negatives; and
    mean_auroc, mean_auprc, mean_sensitivity over the other classes. Sensitivity
    is the highest of all thresholds whose specificity is at least the given.
    One label an item: top1; top3 where C > 3; balanced_accuracy, the mean
    recall of the classes present; brier, the squared error summed over classes
    (Brier 1950), 0 to 2; ece of the largest probability (Guo et al. 2017, eq.
    3, 15 bins), 0 to 1.
    Findings: balanced_accuracy at threshold 0.5, brier (0 to 1) and ece (of
    the probability of the finding), each the mean over findings; the first
    over those with positives and negatives, the others over those with labels.
    What is not defined is NaN, never 0.
  """
  found = of_weights(labels, probabilities, specificity=specificity)
  once = found(np.ones((1, len(labels))))
  return {name: values[0] for name, values in once.items()}


def of_weights(
  labels: np.ndarray,
  probabilities: np.ndarray,
  *,
  specificity: float = 0.9,
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """`measure` of many resamples, which share the order of the scores.

  Args:
    labels, probabilities, specificity: as in `measure`.

  Returns:
    A function of (B, n) float weights, how often each item counts in each of B
    resamples: 0, 1, 2 and so on. It gives the same, as (B,) and (B, C) arrays.
  """
  labels = np.asarray(labels)
  probabilities = np.asarray(probabilities, np.float64)
  of = _of_labels if labels.ndim == 1 else _of_findings
  whole = of(labels, probabilities)
  rankings = [
    _ranking(*ranked(labels, probabilities, c), specificity)
    for c in range(probabilities.shape[1])
  ]

  def found(weights):
    values = whole(weights)
    counts = weights.astype(np.int64)
    of_classes = zip(*(ranking(counts) for ranking in rankings))
    for name, scores in zip(PER_CLASS, of_classes):
      values[name] = np.stack(scores, axis=-1)  # (B, C)
      values[f"mean_{name}"] = _mean_of_defined(values[name])
    return values

  return found


def ratio(part, whole):
  """The part of the whole, NaN where the whole is 0."""
  with np.errstate(invalid="ignore", divide="ignore"):
    return np.where(whole > 0, part / whole, np.nan)


def _mean_of_defined(values):
  """(B, k) -> (B,): the mean of what is not NaN; NaN of nothing."""
  defined = ~np.isnan(values)
  return ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1))


def _of_labels(labels, probabilities):
  """(n,) labels: weights -> the metrics that are not of one class."""
  classes = probabilities.shape[1]
  known = labels >= 0
  of_label = probabilities[np.arange(len(labels)), labels][:, None]
  # How many classes stand before the label; the first of equals goes first,
  # as in argmax, so that a constant output is not always right.
  rank = (probabilities > of_label).sum(axis=1) + (
    (probabilities == of_label) & (np.arange(classes) < labels[:, None])
  ).sum(axis=1)
  right, near = known & (rank < 1), known & (rank < 3)
  has = (labels[:, None] == np.arange(classes)).astype(float)  # (n, C)
  squared = ((probabilities - has) ** 2).sum(axis=1) * known
  columns = np.column_stack(
    [known, right, near, squared, has, has * right[:, None]]
  )  # (n, 4 + 2C)
  gaps = _calibration_gaps(probabilities.max(axis=1), right, known)

  def found(weights):
    sums = weights @ columns
    total, right, near, squared = sums[:, :4].T
    has, recalled = np.split(sums[:, 4:], 2, axis=1)
    return {
      "top1": ratio(right, total),
      **({"top3": ratio(near, total)} if classes > 3 else {}),
      "balanced_accuracy": _mean_of_defined(ratio(recalled, has)),
      "brier": ratio(squared, total),
      "ece": ratio(gaps(weights), total),
    }

  return found


def _of_findings(labels, probabilities):
  """(n, C) findings: weights -> the metrics that are means over findings."""
  has, lacks, called = labels == 1, labels == 0, probabilities >= 0.5
  squared = (probabilities - has) ** 2 * (has | lacks)
  columns = np.concatenate(
    [has, lacks, has & called, lacks & ~called, squared], axis=1
  )  # (n, 5C)
  gaps = [
    _calibration_gaps(score, *truth)
    for score, *truth in zip(probabilities.T, has.T, (has | lacks).T)
  ]

  def found(weights):
    has, lacks, hits, left, squared = np.split(weights @ columns, 5, axis=1)
    errors = np.stack([gap(weights) for gap in gaps], axis=1)  # (B, C)
    recalls = (ratio(hits, has) + ratio(left, lacks)) / 2
    return {
      "balanced_accuracy": _mean_of_defined(recalls),
      "brier": _mean_of_defined(ratio(squared, has + lacks)),
      "ece": _mean_of_defined(ratio(errors, has + lacks)),
    }

  return found


def binary(labels, probabilities, c):
  """Class c against the rest: (truth, score, known) of known items."""
  column = labels if labels.ndim == 1 else labels[:, c]
  if labels.ndim == 1:
    known, truth = column >= 0, column == c
  else:
    known, truth = (column == 0) | (column == 1), column == 1
  return truth[known], probabilities[known, c], known


def ranked(labels, probabilities, c):
  """`binary` by falling score: (truth, score, places of the items)."""
  truth, score, known = binary(labels, probabilities, c)
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


def _ranking(truth, score, places, specificity):
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

  def ranking(counts):
    true, false = first(counts)
    positives, negatives = true[:, last], false[:, last]
    true, false, false_before = (
      true[:, :last],
      false[:, 1:last],
      false[:, last + 1 :],
    )
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
      ratio(above, positives * negatives),
      ratio(precise, positives),
      ratio(reached, positives),
    )

  return ranking


def _dot(these, others):
  """(B, k) twice -> (B,)."""
  return np.einsum("bk,bk->b", these, others)


def sums_by_bin(confidence):
  """A function: sums of (B, n) by bins (low, high] of confidence, (B, BINS)."""
  edges = np.linspace(0, 1, BINS + 1)
  bins = np.digitize(confidence, edges[1:-1], right=True)
  order = np.argsort(bins, kind="stable")
  filled, starts = np.unique(bins[order], return_index=True)

  def sums(values):
    found = np.zeros((len(values), BINS))
    own = np.take(values, order, axis=1)
    found[:, filled] = np.add.reduceat(own, starts, axis=1)
    return found

  return sums


def _calibration_gaps(confidence, right, known):
  """Weights -> expected calibration error, times their sum; (B,).

  Guo et al. 2017, equation 3.
  """
  sums, gaps = sums_by_bin(confidence), (right - confidence) * known
  return lambda weights: np.abs(sums(weights * gaps)).sum(axis=1)
