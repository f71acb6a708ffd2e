"""Bands of curves, by resampling patients.

Each band is of one point of the axis at a time; a whole curve lies inside its
bands less often.
"""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import bootstrap, curves, intervals, metrics
from tf_micle.evaluation.predictions import Predictions

GRID = np.linspace(0, 1, 51)


def bands(
  items: Predictions, *, samples: int, seed: int
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
  """95% bands of each class.

  Args:
    items: n items over C classes.
    samples: resamples of patients.
    seed: of the bootstrap.

  Returns:
    "roc" and "pr": a (low, high) for each class, each (51,) over `GRID`: of
    sensitivity by 1 - specificity, and of precision by recall. NaN where fewer
    than half of the resamples define it.
  """
  items = items.take(items.stated.any(axis=1))
  ranked = []
  for c in range(len(items.class_names)):
    truth, score, known = metrics.binary(items.labels, items.probabilities, c)
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=-1))
    ranked.append((truth[order], np.flatnonzero(known)[order], ends))

  def of_resamples(weights):
    both = [
      [_curves(row, *one) for one in ranked] for row in weights
    ]  # (B, C, 2, 51)
    both = np.array(both)
    return {"roc": both[:, :, 0], "pr": both[:, :, 1]}

  return _drawn(of_resamples, items, samples=samples, seed=seed)


def reliability(
  items: Predictions, *, samples: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
  """95% bands of what is observed in each bin of `curves.reliability`.

  Args:
    items, samples, seed: as in `bands`.

  Returns:
    (low, high), (15,) each, of each of its G groups; NaN where fewer than half
    of the resamples have anything in a bin.
  """
  items = items.take(items.stated.any(axis=1))
  groups = curves.reliability_groups(items.labels, items.probabilities)

  def observed(weights):
    found = []
    for confidence, right, own in groups:
      total, _, of = metrics.in_bins(confidence, right, weights[:, own])
      found.append(metrics.ratio(of, total))
    return {"observed": np.stack(found, axis=1)}  # (B, G, 15)

  return _drawn(observed, items, samples=samples, seed=seed)["observed"]


def net_benefit(
  items: Predictions, *, samples: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
  """95% bands of the model's curve of `curves.net_benefit`.

  Args:
    items, samples, seed: as in `bands`.

  Returns:
    (low, high), (99,) each, of each class.
  """
  items = items.take(items.stated.any(axis=1))
  odds = curves.THRESHOLDS / (1 - curves.THRESHOLDS)
  ranked = []
  for c in range(len(items.class_names)):
    truth, score, known = metrics.binary(items.labels, items.probabilities, c)
    order = np.argsort(-score, kind="stable")
    # How many are called at each threshold: the first ones.
    called = np.searchsorted(-score[order], -curves.THRESHOLDS, side="right")
    ranked.append((truth[order], np.flatnonzero(known)[order], called))

  def of_resamples(weights):
    found = []
    for truth, order, called in ranked:
      own = weights[:, order]  # (B, n)
      hits, alarms = (
        np.pad(np.cumsum(own * of, axis=1), ((0, 0), (1, 0)))[:, called]
        for of in (truth, ~truth)
      )
      total = own.sum(axis=1, keepdims=True)
      found.append(metrics.ratio(hits - alarms * odds, total))
    return {"net benefit": np.stack(found, axis=1)}  # (B, C, 99)

  drawn = _drawn(of_resamples, items, samples=samples, seed=seed)
  return drawn["net benefit"]


def _drawn(of_resamples, items, **how):
  """Returns the bands of each curve that `of_resamples` gives, by its name."""
  replicates = bootstrap.replicates(of_resamples, items.patient_id, **how)
  return {
    name: list(zip(*bootstrap.interval(drawn, intervals.LEVEL)))
    for name, drawn in replicates.items()
  }


def _curves(weights, truth, order, ends):
  """(sensitivity, precision) over `GRID` of one resample and class."""
  own = weights[order]
  true = np.cumsum(own * truth)[ends]
  false = np.cumsum(own * ~truth)[ends]
  if not len(ends) or not true[-1] or not false[-1]:
    return np.full((2, len(GRID)), np.nan)
  tpr, fpr = np.append(0, true / true[-1]), np.append(0, false / false[-1])
  sensitivity = np.interp(GRID, fpr, tpr)
  # Steps, as average precision sums them.
  reached = np.searchsorted(tpr[1:], GRID - 1e-12)
  precision = metrics.ratio(true, true + false)
  return sensitivity, precision[np.minimum(reached, len(precision) - 1)]
