"""Verdict on a run's health: a line against its own step 0."""

from __future__ import annotations

import math

# What each is where all projections are one point. Random weights come near it
# (a uniformity of -0.04), so that only a fall below step 0 tells of a collapse.
_POINT = {"uniformity": 0.0, "rankme": 1.0}
_COLLAPSED, _ERRORS = 0.25, 2.0
# BatchNorm's moving statistics, which views are seen by, settle first.
_SETTLED = 100
_WORDS = {
  "retrieval_map": "same-patient retrieval",
  "recall_at_1": "recall@1",
  "uniformity": "uniformity",
  "rankme": "RankMe",
  "lidar": "LiDAR",
  "knn_true_share": "neighbours of the same label",
  "knn_mean_auroc": "k-NN AUROC",
}


def line(found, reference, begun, step):
  """Returns a plain line: the verdict, and what it rests on.

  Args:
    found: dict of what `checks.measure` returned.
    reference: the same of step 0, or None.
    begun: what the run began with: 'random weights'.
    step: steps done; the first ones cannot tell of a collapse.
  """
  gains = _gains(found, reference or {})
  if not found:
    return "no verdict, as nothing could be measured"
  if reference is None:
    say = "no verdict, as these images were not measured at step 0"
  elif step >= _SETTLED and (fallen := _fallen(found, reference)):
    say = (
      f"collapsing: {', '.join(fallen)}; do look at positive_pairs.png, then "
      "begin anew with a lower --learning_rate or a longer --warmup_epochs"
    )
  elif not gains and (step < _SETTLED or not _POINT.keys() & reference.keys()):
    say = "no verdict yet"
  elif not gains:
    say = "not collapsing, which is all that can be told"
  else:
    say = "learning" if any(gains) else f"no better than {begun} yet"
  return f"{say} ({'; '.join(_figures(found, reference or {}))})"


def _fallen(found, reference):
  """Returns, in words, what came much nearer to a single point."""
  return [
    f"{_WORDS[name]} came from {reference[name]:.3g} to {found[name]:.3g}"
    for name, point in _POINT.items()
    if name in found
    and name in reference
    and abs(found[name] - point) < _COLLAPSED * abs(reference[name] - point)
  ]


def _gains(found, reference):
  """Whether each score that is there is above step 0 by two errors."""
  return [
    found[name] - reference[name]
    > _ERRORS * math.hypot(found[f"{name}_error"], reference[f"{name}_error"])
    for name in ("retrieval_map", "knn_true_share")
    if name in found and name in reference
  ]


def _figures(found, reference):
  """Yields the measures in words, each beside that of step 0."""
  for name, word in _WORDS.items():
    if name in found:
      was = f", was {reference[name]:.3g}" if name in reference else ""
      yield f"{word} {found[name]:.3g}{was}"
