"""Findings of a study in sentences: which arm, by how much, how sure."""

from __future__ import annotations

from tf_micle.report.tables import number, percent
from tf_micle.study import results


def title(score: tuple, unit: str) -> str:
  """Returns the name of a score, as "mean AUROC per patient"."""
  level, metric = score
  name = {"top1": "top-1", "mean_auroc": "mean AUROC"}[metric]
  return f"{name} per {unit if level == 'item' else level}"


def interval(measured: results.Measured, *, signed: bool = False) -> str:
  """Returns "0.512 to 0.640"."""
  return f"{_number(measured.low, signed)} to {_number(measured.high, signed)}"


def sentences(study, found) -> list[str]:
  """Returns a sentence for each set, fraction of labels, and score."""
  texts = []
  for one in study.sets:
    for fraction in study.label_fractions:
      arms = {
        arm.name: found[one.name, fraction, arm.name]
        for arm in study.arms
        if (one.name, fraction, arm.name) in found
      }
      for score in results.SCORES:
        text = _sentence(arms, study.baseline, score)
        if text:
          share = percent(float(fraction))
          where = f"{one.name} ({one.kind}), {share} of the labels"
          texts.append(f"On {where}: {text}")
  return texts


def _sentence(arms, baseline, score):
  values = {name: results.summary(arm, score) for name, arm in arms.items()}
  values = {name: value for name, value in values.items() if value}
  if not values:
    return ""
  unit = next(iter(arms.values())).unit
  ranked = sorted(values, key=lambda name: -values[name].value)
  best = ranked[0]
  text = (
    f"{best} has the highest {title(score, unit)}, "
    f"{number(values[best].value)}"
  )
  if len(ranked) == 1 or baseline not in values:
    return f"{text}; there is no baseline to compare it with."
  # Where the baseline is the best, the next arm tells how far it is behind.
  other = best if best != baseline else ranked[1]
  gap = results.difference(arms[other], arms[baseline], score)
  if gap is None:
    return f"{text}; it shares no run with {baseline}."
  sure = "does not contain 0" if gap.excludes_zero else "contains 0"
  verdict = "" if gap.excludes_zero else ", so no difference is shown"
  if other == best:
    size = f"{number(gap.value, signed=True)} against {baseline}"
  else:
    size = f"the next, {other}, has {number(gap.value, signed=True)}"
  return (
    f"{text}: {size} (95% interval {interval(gap, signed=True)}, which {sure}"
    f"{verdict})."
  )


def _number(value, signed):
  return number(None if value != value else value, signed=signed)
