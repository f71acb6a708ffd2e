"""Metrics of probabilities: discrimination, decisions and calibration.

labels, everywhere: (n,) integers, -1 unknown (one label an item), or (n, C)
floats: 1, 0, -1 uncertain, NaN not stated (findings). probabilities: (n, C)
in [0, 1]. Only known labels count: an item of unknown label, and an uncertain
or missing finding, are left out.
"""

from __future__ import annotations

import numpy as np
from sklearn import metrics

BINS = 15
PER_CLASS = ("auroc", "auprc", "sensitivity")


def measure(
  labels: np.ndarray,
  probabilities: np.ndarray,
  *,
  specificity: float = 0.9,
  weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
  """All metrics of one set of items.

  Args:
    labels: (n,) or (n, C), as above.
    probabilities: (n, C).
    specificity: in [0, 1], the one at which sensitivity is read.
    weights: how often each item counts, >= 0: (n,), or (B, n) for B
      resamples at once. None counts each once.

  Returns:
    Float arrays: scalars of shape () and per class of shape (C,); with (B, n)
    weights (B,) and (B, C).
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
  labels, probabilities = np.asarray(labels), np.asarray(probabilities)
  table = np.ones((1, len(labels))) if weights is None else weights
  table = np.atleast_2d(table)  # (B, n)
  if labels.ndim == 1:
    known = labels >= 0
    found = _measure_labels(
      labels[known], probabilities[known], table[:, known]
    )
  else:
    found = _measure_findings(labels, probabilities, table)
  by_item = np.ascontiguousarray(table.T)
  ranked = []
  for c in range(probabilities.shape[1]):
    truth, score, known = binary(labels, probabilities, c)
    if weights is None:
      ranked.append(_ranking(truth, score, specificity))
    else:
      order = np.argsort(-score, kind="stable")
      sorted_weights = by_item[np.flatnonzero(known)[order]]
      ranked.append(
        _ranking_of_resamples(
          truth[order], score[order], sorted_weights, specificity
        )
      )
  for name, values in zip(PER_CLASS, zip(*ranked)):
    found[name] = np.stack(values, axis=-1)  # (B, C)
    found[f"mean_{name}"] = _mean_of_defined(found[name])
  if np.ndim(weights) < 2:
    found = {name: values[0] for name, values in found.items()}
  return found


def ratio(part, whole):
  """The part of the whole, NaN where the whole is 0."""
  with np.errstate(invalid="ignore", divide="ignore"):
    return np.where(whole > 0, part / whole, np.nan)


def _mean_of_defined(values):
  """(B, k) -> (B,): the mean of what is not NaN; NaN of nothing."""
  defined = ~np.isnan(values)
  return ratio(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1))


def _average(values, weights):
  """(n,) values, (B, n) weights -> (B,)."""
  return ratio(weights @ values.astype(np.float64), weights.sum(axis=1))


def _measure_labels(labels, probabilities, weights):
  """(n,) known labels: the metrics that are not of one class."""
  classes = probabilities.shape[1]
  of_label = probabilities[np.arange(len(labels)), labels][:, None]
  # How many classes stand before the label; the first of equals goes first,
  # as in argmax, so that a constant output is not always right.
  rank = (probabilities > of_label).sum(axis=1) + (
    (probabilities == of_label) & (np.arange(classes) < labels[:, None])
  ).sum(axis=1)
  found = {"top1": _average(rank < 1, weights)}
  if classes > 3:
    found["top3"] = _average(rank < 3, weights)
  onehot = np.eye(classes)[labels]  # (n, C)
  recalls = ratio(weights @ (onehot * (rank < 1)[:, None]), weights @ onehot)
  found["balanced_accuracy"] = _mean_of_defined(recalls)
  squared = ((probabilities - onehot) ** 2).sum(axis=1)
  found["brier"] = _average(squared, weights)
  found["ece"] = _calibration_error(
    probabilities.max(axis=1), rank < 1, weights
  )
  return found


def _measure_findings(labels, probabilities, weights):
  """(n, C) findings: the metrics that are means over findings."""
  recalls, briers, errors = [], [], []
  for c in range(probabilities.shape[1]):
    truth, score, known = binary(labels, probabilities, c)
    weight = weights[:, known]
    right = (score >= 0.5) == truth
    sensitivity = _average(right[truth], weight[:, truth])
    specificity = _average(right[~truth], weight[:, ~truth])
    recalls.append((sensitivity + specificity) / 2)
    briers.append(_average((score - truth) ** 2, weight))
    errors.append(_calibration_error(score, truth, weight))
  return {
    "balanced_accuracy": _mean_of_defined(np.stack(recalls, axis=1)),
    "brier": _mean_of_defined(np.stack(briers, axis=1)),
    "ece": _mean_of_defined(np.stack(errors, axis=1)),
  }


def binary(labels, probabilities, c):
  """Class c against the rest: (truth, score, known) of known items."""
  column = labels if labels.ndim == 1 else labels[:, c]
  if labels.ndim == 1:
    known, truth = column >= 0, column == c
  else:
    known, truth = (column == 0) | (column == 1), column == 1
  return truth[known], probabilities[known, c], known


def _ranking(truth, score, specificity):
  """(AUROC, average precision, sensitivity) of one class, (1,) each."""
  if not truth.any() or truth.all():
    return (np.full(1, np.nan),) * 3
  # All points: on a straight piece of the curve the best threshold may lie.
  fpr, tpr, _ = metrics.roc_curve(truth, score, drop_intermediate=False)
  return (
    np.array([metrics.auc(fpr, tpr)]),
    np.array([metrics.average_precision_score(truth, score)]),
    # The rounding of 1 - fpr must not decide.
    np.array([tpr[1 - fpr >= specificity - 1e-9].max()]),
  )


def _ranking_of_resamples(truth, score, weights, specificity):
  """`_ranking` for B resamples: (n, B) weights, (B,) each.

  scikit-learn's roc_curve takes one set of weights and 1.5 ms a call, most of
  it checks; a bootstrap asks for it ten thousand times. The scores are the
  same in every resample, so one sort serves all, and only the thresholds where
  a positive is gained add to the sums.
  """
  start, end = _steps_with_positives(truth, score)
  seen = _running_sum(weights)
  seen_positive = _running_sum(weights[truth])
  positives_at = np.append(0, np.cumsum(truth))
  true_before = seen_positive[positives_at[start]]  # (steps, B)
  true = seen_positive[positives_at[end]]
  false_before, false = seen[start] - true_before, seen[end] - true
  positives = seen_positive[-1]
  negatives = seen[-1] - positives
  gained = true - true_before
  # Each positive is above the negatives not yet seen, and halfway above ties.
  above = (gained * (negatives - (false_before + false) / 2)).sum(axis=0)
  precise = (gained * np.nan_to_num(ratio(true, true + false))).sum(axis=0)
  allowed = (1 - specificity + 1e-9) * negatives
  reached = np.where(false <= allowed, true, 0).max(axis=0, initial=0)
  defined = (positives > 0) & (negatives > 0)
  return tuple(
    np.where(defined, values, np.nan)
    for values in (
      ratio(above, positives * negatives),
      ratio(precise, positives),
      ratio(reached, positives),
    )
  )


def _steps_with_positives(truth, score):
  """Where runs of equal falling scores that hold a positive start and end."""
  edges = np.flatnonzero(np.diff(score)) + 1
  start, end = np.append(0, edges), np.append(edges, len(score))
  positives_at = np.append(0, np.cumsum(truth))
  holds = positives_at[end] > positives_at[start]
  return start[holds], end[holds]


def _running_sum(weights):
  """(n, B) -> (n + 1, B), from zero."""
  sums = np.zeros((len(weights) + 1, weights.shape[1]))
  np.cumsum(weights, axis=0, out=sums[1:])
  return sums


def in_bins(confidence, right, weights):
  """(B, BINS) each: weight, sum of confidence, sum of right; (low, high]."""
  edges = np.linspace(0, 1, BINS + 1)
  of = np.eye(BINS)[np.digitize(confidence, edges[1:-1], right=True)]
  return tuple(
    weights @ (of * values[:, None])
    for values in (np.ones(len(of)), confidence, right)
  )


def _calibration_error(confidence, right, weights):
  """Expected calibration error, Guo et al. 2017, equation 3; (B,)."""
  _, confidence, right = in_bins(confidence, right, weights)
  return ratio(np.abs(right - confidence).sum(axis=1), weights.sum(axis=1))
