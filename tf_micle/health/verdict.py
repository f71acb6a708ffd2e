"""Verdict on a run's health: a line against its own step 0."""

from __future__ import annotations

import math

# Random weights have a uniformity of about -0.04 already, so that only a fall
# below what the run began with tells of a collapse.
_COLLAPSED = 0.25
_ERRORS = 2.0
_WHAT_TO_DO = (
  "do look at positive_pairs.png, then begin anew with a lower --learning_rate "
  "or a longer --warmup_epochs"
)


def verdict(found, reference):
  """Returns 'collapsing', 'learning', 'no better' or 'not known'.

  Args:
    found: dict of what `checks.measure` returned.
    reference: the same of step 0, or None.
  """
  if not reference:
    return "not known"
  if _collapsed(found, reference):
    return "collapsing"
  if "retrieval_map" not in found or "retrieval_map" not in reference:
    return "not known"
  error = math.hypot(
    found["retrieval_map_error"], reference["retrieval_map_error"]
  )
  gain = found["retrieval_map"] - reference["retrieval_map"]
  return "learning" if gain > _ERRORS * error else "no better"


def line(found, reference, begun):
  """Returns a plain line: the verdict, and what it rests on.

  Args:
    found: as in `verdict`.
    reference: as in `verdict`.
    begun: what the run began with: 'random weights'.
  """
  say = {
    "learning": "learning",
    "no better": f"no better than {begun} yet",
    "not known": "not collapsing, as far as can be told"
    if reference
    else "no verdict, as these images were not measured at step 0",
    "collapsing": f"collapsing: {_fallen(found, reference)}; {_WHAT_TO_DO}",
  }[verdict(found, reference)]
  return f"{say} ({_figures(found, reference or {})})"


def _collapsed(found, reference):
  """Returns the names of what fell below a quarter of what it was."""
  return [
    name
    for name, spread in _spreads(reference).items()
    if name in _spreads(found) and _spreads(found)[name] < _COLLAPSED * spread
  ]


def _spreads(measured):
  """What is 0 where all projections are one: by what to call it."""
  names = {"uniformity": lambda u: -u, "rankme": lambda rank: rank - 1}
  return {n: f(measured[n]) for n, f in names.items() if n in measured}


def _fallen(found, reference):
  names = _collapsed(found, reference) if reference else []
  return ", ".join(
    f"{name} came from {reference[name]:.3g} to {found[name]:.3g}"
    for name in names
  )


def _figures(found, reference):
  """Returns the measures in words, each beside that of step 0."""
  words = {
    "retrieval_map": "same-patient retrieval",
    "recall_at_1": "recall@1",
    "uniformity": "uniformity",
    "rankme": "RankMe",
    "lidar": "LiDAR",
    "knn_mean_auroc": "k-NN AUROC",
  }
  parts = []
  for name, word in words.items():
    if name in found:
      was = f", was {reference[name]:.3g}" if name in reference else ""
      parts.append(f"{word} {found[name]:.3g}{was}")
  return "; ".join(parts)
