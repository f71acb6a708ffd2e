"""Subgroups of patients: rates and AUROC of each, and against the rest."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import (
  bootstrap,
  decisions,
  intervals,
  metrics,
  resampled_metrics,
)
from tf_micle.evaluation.predictions import Predictions

# Fewer patients with a class, or without it, say nothing of a group.
FEWEST = 5
METRICS = ("auroc", "sensitivity", "specificity")


def measured(
  items: Predictions,
  inside: np.ndarray,
  thresholds: np.ndarray | None,
  *,
  samples: int,
  seed: int,
) -> dict[str, dict]:
  """A group of patients, class by class.

  Args:
    items: n patients over C classes.
    inside: (n,) bool, who is in the group.
    thresholds: (C,) fixed ones, as in `decisions.parts`; None: there are none,
      so neither sensitivity nor specificity.
    samples: resamples of the bootstrap, over the patients inside and outside.
    seed: of the bootstrap.

  Returns:
    By class: "positives" and "negatives", counts; and where both are at least
    `FEWEST`, for each of `METRICS` an `intervals.entry`, and under "difference"
    one of what the group has more than the rest, of the same resamples.
  """
  keep = items.stated.any(axis=1)
  items, inside = items.take(keep), inside[keep]
  values_of = _values(items, thresholds)

  def both(weights):
    own, rest = values_of(weights * inside), values_of(weights * ~inside)
    more = {f"{name} more": own[name] - rest[name] for name in own}
    return own | more

  values = both(np.ones((1, len(items))))
  drawn = bootstrap.replicates(
    both, items.patient_id, samples=samples, seed=seed
  )
  limits = {k: bootstrap.interval(v, intervals.LEVEL) for k, v in drawn.items()}

  def entry(name, c, patients=0):
    low, high = limits[name]
    return intervals.entry(values[name][0, c], low[c], high[c], patients)

  found = {}
  for c, name in enumerate(items.class_names):
    has = items.positive[:, c] & inside
    lacks = items.stated[:, c] & ~items.positive[:, c] & inside
    behind = {"sensitivity": int(has.sum()), "specificity": int(lacks.sum())}
    found[name] = {"positives": int(has.sum()), "negatives": int(lacks.sum())}
    if min(behind.values()) >= FEWEST:
      own = [one for one in METRICS if one in values]
      found[name] |= {one: entry(one, c, behind.get(one, 0)) for one in own}
      found[name]["difference"] = {one: entry(f"{one} more", c) for one in own}
  return found


def _values(items, thresholds):
  """(B, n) weights -> {metric: (B, C)}."""
  ranked = resampled_metrics.of_classes(items.labels, items.probabilities)
  parts = {} if thresholds is None else decisions.parts(items, thresholds)
  rates = {
    name: [part.astype(float) for part in parts[name]]
    for name in METRICS[1:]
    if name in parts
  }

  def found(weights):
    aurocs = [auroc for auroc, *_ in ranked(weights)]
    values = {"auroc": np.stack(aurocs, axis=1)}
    for name, (right, of) in rates.items():
      values[name] = metrics.ratio(weights @ right, weights @ of)
    return values

  return found
