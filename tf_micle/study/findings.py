"""Findings of a study in sentences: which arm, by how much, how sure."""

from __future__ import annotations

from tf_micle.report.tables import measured, number, percent
from tf_micle.study import results

_METRICS = {"top1": "top-1", "mean_auroc": "mean AUROC"}


def title(score: tuple, unit: str) -> str:
  """Returns the name of a score, as "mean AUROC per patient"."""
  level, metric = score
  return f"{_METRICS[metric]} per {unit if level == 'item' else level}"


def sentences(study, found) -> list[str]:
  """Returns a text for each set and fraction: the best arm by each score."""
  texts = []
  for one in study.sets:
    for fraction in study.label_fractions:
      arms = {
        arm.name: found[one.name, fraction, arm.name]
        for arm in study.arms
        if (one.name, fraction, arm.name) in found
      }
      if arms:
        told = [
          _sentence(arms, study.baseline, score)
          for score in results.scores_of(next(iter(arms.values())))
        ]
        share = percent(float(fraction))
        where = f"On {one.name} ({one.kind}) with {share} of the labels"
        texts.append(f"{where}: {' '.join(told)}")
  return texts


def _sentence(arms, baseline, score):
  values = {
    name: results.summary(arm, score).entry["value"]
    for name, arm in arms.items()
  }
  known = {name: value for name, value in values.items() if value is not None}
  unit = next(iter(arms.values())).unit
  if not known:
    return f"{title(score, unit)} is not defined here."
  best, *behind = sorted(known, key=lambda name: -known[name])
  text = f"{best} is highest in {title(score, unit)}, {number(known[best])}"
  # Where the baseline is the best, the next arm tells how far it is behind.
  other = best if best != baseline else next(iter(behind), None)
  gap = None
  if other and baseline in known:
    gap = results.difference(arms[other], arms[baseline], score)
  if not gap:
    return f"{text}; there is nothing to compare it with."
  text += f"; {other} minus {baseline} is {number(gap.value, signed=True)}"
  cell, said = measured(gap.entry, signed=True), verdict(gap.entry)
  if not said:
    return f"{text}, which has no interval."
  return f"{text}, and its 95% interval, {cell.detail}, {said}."


def verdict(entry: dict) -> str:
  """Says whether the interval of a difference contains 0; "" without one."""
  low, high = entry["low"], entry["high"]
  if low is None or high is None:
    return ""
  if low > 0 or high < 0:
    return "does not contain 0"
  return "contains 0: no difference is shown"
