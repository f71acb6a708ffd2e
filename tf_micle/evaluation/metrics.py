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
  labels, probabilities, of = prepared(labels, probabilities)
  ranked = [
    _ranking(*binary(labels, probabilities, c)[:2], specificity)
    for c in range(probabilities.shape[1])
  ]
  found = with_classes(of(np.ones((1, len(labels)))), ranked)
  return {name: values[0] for name, values in found.items()}


def prepared(labels, probabilities):
  """Both as arrays, and weights -> the metrics that are not of one class."""
  labels = np.asarray(labels)
  probabilities = np.asarray(probabilities, np.float64)
  of = _of_labels if labels.ndim == 1 else _of_findings
  return labels, probabilities, of(labels, probabilities)


def with_classes(found, ranked):
  """Adds what each class has, a tuple like `PER_CLASS` of (B,), and means."""
  for name, values in zip(PER_CLASS, zip(*ranked)):
    found[name] = np.stack(values, axis=-1)  # (B, C)
    found[f"mean_{name}"] = mean_of_defined(found[name])
  return found


def ratio(part, whole):
  """The part of the whole, NaN where the whole is 0."""
  with np.errstate(invalid="ignore", divide="ignore"):
    return np.where(whole > 0, part / whole, np.nan)


def mean_of_defined(values):
  """(..., k) -> (...): the mean of what is not NaN; NaN of nothing."""
  defined = ~np.isnan(values)
  return ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1))


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
      "balanced_accuracy": mean_of_defined(ratio(recalled, has)),
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
      "balanced_accuracy": mean_of_defined(recalls),
      "brier": mean_of_defined(ratio(squared, has + lacks)),
      "ece": mean_of_defined(ratio(errors, has + lacks)),
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
