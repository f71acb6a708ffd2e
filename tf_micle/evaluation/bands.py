"""Bands of curves, by resampling patients.

Each band is of one point of the axis at a time; a whole curve lies inside its
bands less often.
"""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import (
  bootstrap,
  curves,
  intervals,
  metrics,
  resampled_metrics,
)
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

  def points(score):
    """0, then where runs of equal scores end."""
    return np.append(0, np.flatnonzero(np.diff(score, append=-1)) + 1)

  classes = _among_first(items, points)

  def of_resamples(weights):
    counts = weights.astype(np.int64)
    both = np.array(
      [[_curves(*two) for two in zip(*first(counts))] for first in classes]
    )  # (C, B, 2, 51)
    return dict(zip(("roc", "pr"), both.transpose(2, 1, 0, 3)))

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
  groups = [
    (metrics.sums_by_bin(confidence), right, np.flatnonzero(known))
    for confidence, right, known in curves.reliability_groups(
      items.labels, items.probabilities
    )
  ]

  def observed(weights):
    found = []
    for sums, right, known in groups:
      own = np.take(weights, known, axis=1)
      found.append(metrics.ratio(sums(own * right), sums(own)))
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

  def called(score):
    """How many are called at each threshold, then how many there are."""
    at = np.searchsorted(-score, -curves.THRESHOLDS, side="right")
    return np.append(at, len(score))

  classes = _among_first(items, called)

  def of_resamples(weights):
    counts, found = weights.astype(np.int64), []
    for first in classes:
      hits, alarms = first(counts)  # (B, 100)
      net = (hits - alarms * np.append(odds, 0))[:, :-1]
      found.append(metrics.ratio(net, (hits + alarms)[:, -1:]))
    return {"net benefit": np.stack(found, axis=1)}  # (B, C, 99)

  drawn = _drawn(of_resamples, items, samples=samples, seed=seed)
  return drawn["net benefit"]


def _among_first(items, at):
  """The function `among_first` of each class; `at` takes falling scores."""
  found = []
  for c in range(len(items.class_names)):
    truth, score, places = resampled_metrics.ranked(
      items.labels, items.probabilities, c
    )
    found.append(resampled_metrics.among_first(truth, places, at(score)))
  return found


def _drawn(of_resamples, items, **how):
  """Returns the bands of each curve that `of_resamples` gives, by its name."""
  replicates = bootstrap.replicates(of_resamples, items.patient_id, **how)
  return {
    name: list(zip(*bootstrap.interval(drawn, intervals.LEVEL)))
    for name, drawn in replicates.items()
  }


def _curves(true, false):
  """(sensitivity, precision) over `GRID`; counts from (0, 0) on, (points,)."""
  if not true[-1] or not false[-1]:
    return np.full((2, len(GRID)), np.nan)
  tpr, fpr = true / true[-1], false / false[-1]
  sensitivity = np.interp(GRID, fpr, tpr)
  # Steps, as average precision sums them, from the first item that counts on:
  # those that were not drawn have no precision at a recall of 0.
  called = true + false
  reached = np.searchsorted(tpr, GRID - 1e-12)
  reached = np.maximum(reached, np.searchsorted(called, 0, side="right"))
  at = np.minimum(reached, len(tpr) - 1)
  return sensitivity, true[at] / called[at]
