"""Curves, confusion and reliability of a classifier, for a report to draw.

labels and probabilities are as in `metrics`.
"""

from __future__ import annotations

import numpy as np
import sklearn.metrics

from tf_micle.evaluation import metrics

# Of decision curves.
THRESHOLDS = np.arange(1, 100) / 100


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


def net_benefit(labels, probabilities) -> list[tuple | None]:
  """Decision curve of each class (Vickers & Elkin 2006); None if not defined.

  Returns:
    (thresholds, model, all): the net benefit TP/n - FP/n * t / (1 - t) of
    acting where the probability is at least the threshold t, and of acting
    always.
  """
  at = THRESHOLDS
  odds = at / (1 - at)

  def curve(truth, score):
    called = score[:, None] >= at  # (n, 99)
    hits = (called & truth[:, None]).mean(axis=0)
    alarms = (called & ~truth[:, None]).mean(axis=0)
    return at, hits - alarms * odds, truth.mean() - (~truth).mean() * odds

  return _each_class(labels, probabilities, curve)


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
  groups = reliability_groups(labels, probabilities)
  total, confidence, right = np.stack(
    [
      metrics.sums_by_bin(said)(np.stack([np.ones(len(said)), said, so]))
      for said, so, _ in groups
    ],
    axis=1,
  )
  return (
    metrics.ratio(confidence, total),
    metrics.ratio(right, total),
    total.astype(int),
  )


def reliability_groups(labels, probabilities) -> list[tuple]:
  """(confidence, right, known) of each of the G groups of `reliability`."""
  labels, probabilities = np.asarray(labels), np.asarray(probabilities)
  if labels.ndim == 1:
    known = labels >= 0
    right = probabilities[known].argmax(axis=1) == labels[known]
    return [(probabilities[known].max(axis=1), right, known)]
  found = []
  for c in range(probabilities.shape[1]):
    truth, score, known = metrics.binary(labels, probabilities, c)
    found.append((score, truth, known))
  return found
