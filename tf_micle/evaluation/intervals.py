"""Confidence intervals of metrics, as metrics.json has them."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import bootstrap, metrics
from tf_micle.evaluation.predictions import Predictions

LEVEL = 0.95
NO_WIDTH = (
  "No width: the resamples agree, which is the limit of the bootstrap, not "
  "certainty."
)


def of(
  values: dict[str, np.ndarray],
  replicates: dict[str, np.ndarray],
  class_names: tuple[str, ...],
  patients: dict[str, np.ndarray | int] | None = None,
) -> dict:
  """{"value", "low", "high"} of each metric, by class where it is per class.

  Intervals are percentiles of the replicates. All resamples of a proportion
  of 0 or 1 are the same, though; such an entry has an exact interval, and says
  so: "method": "exact".

  Args:
    values: what `metrics.measure` gave; () or (C,).
    replicates: the same of resamples, with a first axis more.
    class_names: C names.
    patients: what `patients_behind` gave; None where there are no proportions,
      as of a difference.
  """
  patients = patients or {}
  found = {}
  for name, value in values.items():
    low, high = bootstrap.interval(replicates[name], LEVEL)
    if name in metrics.PER_CLASS:
      behind = patients.get(name, np.zeros(len(class_names), int))
      found[name] = {
        label: entry(*four)
        for label, *four in zip(class_names, value, low, high, behind)
      }
    else:
      found[name] = entry(value, low, high, patients.get(name, 0))
  return found


def patients_behind(items: Predictions) -> dict[str, np.ndarray | int]:
  """The patients that each proportion is over: a number, or (C,) by class.

  Images of one patient resemble each other, so that patients are what an exact
  interval counts.

  Args:
    items: labelled ones.
  """
  everyone = len(np.unique(items.patient_id))
  return {
    "top1": everyone,
    "top3": everyone,
    "sensitivity": np.array(
      [len(np.unique(items.patient_id[has])) for has in items.positive.T]
    ),
  }


def has_no_width(entry: dict) -> bool:
  """Whether the resamples gave the same, but for rounding."""
  low, high = entry["low"], entry["high"]
  return low is not None and high - low < 1e-9


def entry(value: float, low: float, high: float, patients: int) -> dict:
  """One value with its interval for JSON, which has no NaN.

  Args:
    value: it.
    low, high: the bootstrap's interval.
    patients: behind a proportion; 0: it is none.
  """
  method = {}
  if patients and value in (0, 1):
    low, high = _clopper_pearson(value, patients)
    method = {"method": "exact"}
  three = {"value": value, "low": low, "high": high}
  return {k: None if np.isnan(v) else float(v) for k, v in three.items()} | (
    method
  )


def _clopper_pearson(proportion, count):
  """Clopper & Pearson 1934, for none or all of `count`: (low, high)."""
  bound = ((1 - LEVEL) / 2) ** (1 / count)
  return (bound, 1.0) if proportion == 1 else (0.0, 1 - bound)
