"""Findings of a study in sentences: which arm, by how much, how sure."""

from __future__ import annotations

from tf_micle.report.tables import number, percent
from tf_micle.study import results

_METRICS = {"top1": "top-1", "mean_auroc": "mean AUROC"}


def title(score: tuple, unit: str) -> str:
  """Returns the name of a score, as "mean AUROC per patient"."""
  level, metric = score
  return f"{_METRICS[metric]} per {unit if level == 'item' else level}"


def interval(measured: results.Measured, *, signed: bool = False) -> str:
  """Returns "0.512 to 0.640"."""
  ends = (None if end != end else end for end in (measured.low, measured.high))
  return " to ".join(number(end, signed=signed) for end in ends)


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
    name: results.summary(arm, score).value for name, arm in arms.items()
  }
  best, *behind = sorted(values, key=lambda name: -values[name])
  unit = next(iter(arms.values())).unit
  text = f"{best} is highest in {title(score, unit)}, {number(values[best])}"
  # Where the baseline is the best, the next arm tells how far it is behind.
  other = best if best != baseline else next(iter(behind), None)
  gap = other and results.difference(
    arms[other], arms.get(baseline, arms[best]), score
  )
  if not gap or baseline not in arms:
    return f"{text}; there is nothing to compare it with."
  sure = "does not contain 0" if gap.excludes_zero else "contains 0"
  verdict = "" if gap.excludes_zero else ": no difference is shown"
  return (
    f"{text}; {other} minus {baseline} is {number(gap.value, signed=True)}, "
    f"and its 95% interval, {interval(gap, signed=True)}, {sure}{verdict}."
  )
