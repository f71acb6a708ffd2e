"""Cluster bootstrap: percentile intervals by resampling patients.

Images of one patient resemble each other, so that resampling images would make
intervals too narrow; here all of a patient's items are drawn together (the
cluster bootstrap; Efron & Tibshirani 1993, chapters 8 and 13). An item then
counts as often as its patient was drawn, so nothing is copied.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import tqdm

# Weights of so many (resample, item) pairs at a time: 2 MB, which caches hold.
_PAIRS_AT_ONCE = 1 << 18


def replicates(
  statistic: Callable[[np.ndarray], dict[str, np.ndarray]],
  patient_id: np.ndarray,
  *,
  samples: int = 1000,
  seed: int = 0,
  show_progress: bool = False,
  description: str = "bootstrap",
) -> dict[str, np.ndarray]:
  """A statistic of many resamples of the patients.

  The same patients (in any order, with any number of items), samples and seed
  give the same resamples, so that the replicates of two models are paired: the
  difference of the two is a replicate of their difference.

  Args:
    statistic: takes (B, n) float64 weights, how often each item counts in each
      of B resamples, and returns arrays of shape (B, ...).
    patient_id: (n,) the patient of each item.
    samples: how many resamples, at least 1.
    seed: of the draws.
    show_progress: a bar on stderr.
    description: what the bar says.

  Returns:
    Arrays of shape (samples, ...). All NaN for fewer than two patients: these
    say nothing of how patients differ.

  Raises:
    ValueError: samples < 1.
  """
  if samples < 1:
    raise ValueError(f"Expected samples >= 1. Received: samples={samples}.")
  patients, patient_of_item = np.unique(patient_id, return_inverse=True)
  if len(patients) < 2:
    once = statistic(np.ones((1, len(patient_id))))
    return {
      k: np.full((samples, *v.shape[1:]), np.nan) for k, v in once.items()
    }
  random = np.random.default_rng(seed)
  at_once = max(1, _PAIRS_AT_ONCE // len(patient_id))
  chunks = []
  with tqdm.tqdm(
    total=samples,
    desc=description,
    unit=" resamples",
    disable=not show_progress,
    leave=False,
    mininterval=0.5 if sys.stderr.isatty() else 15,
  ) as bar:
    for first in range(0, samples, at_once):
      size = min(at_once, samples - first)
      counts = np.stack(
        [_draw(random, len(patients)) for _ in range(size)]
      ).astype(np.float64)  # (B, patients)
      chunks.append(statistic(np.take(counts, patient_of_item, axis=1)))
      bar.update(size)
  return {k: np.concatenate([c[k] for c in chunks]) for k in chunks[0]}


def _draw(random, count):
  """How often each of `count` patients is drawn in one resample."""
  return np.bincount(random.integers(count, size=count), minlength=count)


def interval(
  values: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
  """The percentile interval of each statistic.

  Args:
    values: (samples, ...) replicates; NaN where one is not defined.
    level: the coverage wanted, in (0, 1).

  Returns:
    (low, high), each of shape (...). Undefined replicates are left out; where
    fewer than half are defined, both are NaN.
  """
  tails = (1 - level) / 2
  defined = ~np.isnan(values)
  enough = 2 * defined.sum(axis=0) >= len(values)
  # Where there are too few, zeros keep nanquantile from warning.
  low, high = np.nanquantile(
    np.where(enough, values, 0), [tails, 1 - tails], axis=0
  )
  return np.where(enough, low, np.nan), np.where(enough, high, np.nan)
