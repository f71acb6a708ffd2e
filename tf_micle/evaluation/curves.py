"""Curves, confusion and reliability of a classifier, for a report to draw.

labels and probabilities are as in `metrics`.
"""

from __future__ import annotations

import numpy as np
import sklearn.metrics

from tf_micle.evaluation import metrics


def roc_points(labels, probabilities) -> list[tuple | None]:
  """ROC curve of each class: (fpr, tpr) arrays; None where not defined."""
  return _each_class(
    labels, probabilities, lambda t, p: sklearn.metrics.roc_curve(t, p)[:2]
  )


def precision_recall_points(labels, probabilities) -> list[tuple | None]:
  """Each class's (recall, precision), recall falling; None if not defined."""
  return _each_class(
    labels,
    probabilities,
    lambda t, p: sklearn.metrics.precision_recall_curve(t, p)[1::-1],
  )


def _each_class(labels, probabilities, curve):
  labels, probabilities = np.asarray(labels), np.asarray(probabilities)
  points = []
  for c in range(probabilities.shape[1]):
    truth, score, _ = metrics.binary(labels, probabilities, c)
    defined = truth.any() and not truth.all()
    points.append(curve(truth, score) if defined else None)
  return points


def confusion(labels, probabilities) -> np.ndarray:
  """Counts, truth in rows and decisions in columns.

  One label an item: (C, C), the decision is the largest probability. Findings:
  (C, 2, 2), absent then present, the decision is a probability >= 0.5.
  """
  labels, probabilities = np.asarray(labels), np.asarray(probabilities)
  classes = probabilities.shape[1]
  if labels.ndim == 1:
    known = labels >= 0
    decided = probabilities[known].argmax(axis=1)
    return _table(labels[known], decided, range(classes))
  tables = []
  for c in range(classes):
    truth, score, _ = metrics.binary(labels, probabilities, c)
    tables.append(_table(truth, score >= 0.5, [False, True]))
  return np.stack(tables)


def _table(truth, decided, labels):
  if not len(truth):  # scikit-learn refuses these.
    return np.zeros((len(labels), len(labels)), int)
  return sklearn.metrics.confusion_matrix(truth, decided, labels=labels)


def reliability(labels, probabilities) -> tuple[np.ndarray, ...]:
  """The bins behind ece: mean confidence, accuracy, count of each.

  Returns:
    Three (G, 15) arrays, the first two NaN where a bin is empty. One label an
    item: G = 1, the largest probability against being right. Findings: G = C,
    the probability of the finding against having it.
  """
  labels, probabilities = np.asarray(labels), np.asarray(probabilities)
  if labels.ndim == 1:
    known = labels >= 0
    labels, probabilities = labels[known], probabilities[known]
    right = probabilities.argmax(axis=1) == labels
    groups = [(probabilities.max(axis=1), right)]
  else:
    groups = [
      # (score, truth)
      metrics.binary(labels, probabilities, c)[1::-1]
      for c in range(probabilities.shape[1])
    ]
  total, confidence, right = np.concatenate(
    [metrics.in_bins(*group, np.ones((1, len(group[0])))) for group in groups],
    axis=1,
  )
  return (
    metrics.ratio(confidence, total),
    metrics.ratio(right, total),
    total.astype(int),
  )
