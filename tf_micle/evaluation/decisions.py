"""Decisions at fixed thresholds: rates, their counts and intervals."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import bootstrap, intervals
from tf_micle.evaluation.metrics import ratio
from tf_micle.evaluation.predictions import Predictions

RATES = ("sensitivity", "specificity", "ppv", "npv")


def parts(
  items: Predictions, thresholds: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """The items that each rate is a share of, and those of its numerator.

  Args:
    items: n items over C classes; what is not known counts nowhere.
    thresholds: (C,) in (0, 1]; NaN: nothing is decided.

  Returns:
    By name in `RATES`: (right, of): bool (n, C) each. Sensitivity is the share
    of positives that are called, specificity that of negatives that are not;
    PPV and NPV are the shares of what was called, or not, that is right.
  """
  known = items.stated & ~np.isnan(thresholds)
  has = items.positive & known
  lacks = known & ~has
  called = (items.probabilities >= thresholds) & known
  left = known & ~called
  return {
    "sensitivity": (has & called, has),
    "specificity": (lacks & left, lacks),
    "ppv": (has & called, called),
    "npv": (lacks & left, left),
  }


def measured(
  items: Predictions, thresholds: np.ndarray, *, samples: int, seed: int
) -> dict[str, dict]:
  """Rates with their counts and 95% intervals over patients.

  Args:
    items: as in `parts`.
    thresholds: (C,), as there.
    samples: resamples of the bootstrap.
    seed: of the bootstrap.

  Returns:
    By class: {"threshold", and for each of `RATES` {"value", "low", "high",
    "numerator", "denominator"[, "method"]}}. Intervals are `intervals.entry`'s:
    percentiles of a bootstrap over patients, exact over the patients behind the
    denominator where the rate is 0 or 1.
  """
  items = items.take(items.stated.any(axis=1))
  two = parts(items, thresholds)
  found = {name: {} for name in items.class_names}
  for name, threshold in zip(items.class_names, thresholds.tolist()):
    found[name]["threshold"] = None if np.isnan(threshold) else threshold

  def rates(weights):
    return {
      rate: ratio(weights @ right.astype(float), weights @ of.astype(float))
      for rate, (right, of) in two.items()
    }

  replicates = bootstrap.replicates(
    rates, items.patient_id, samples=samples, seed=seed
  )
  for rate, (right, of) in two.items():
    lows, highs = bootstrap.interval(replicates[rate], intervals.LEVEL)
    values = ratio(right.sum(axis=0), of.sum(axis=0))
    for c, name in enumerate(items.class_names):
      patients = len(np.unique(items.patient_id[of[:, c]]))
      found[name][rate] = {
        **intervals.entry(values[c], lows[c], highs[c], patients),
        "numerator": int(right[:, c].sum()),
        "denominator": int(of[:, c].sum()),
      }
  return found
