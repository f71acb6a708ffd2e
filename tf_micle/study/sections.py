"""Sections of a study's report: scores, differences, curves, shifts."""

from __future__ import annotations

import dataclasses

import numpy as np

from tf_micle.report import charts
from tf_micle.report.blocks import (
  Cell,
  Chart,
  Figure,
  Figures,
  Heading,
  Section,
  Table,
  Text,
)
from tf_micle.report.tables import measured, number, percent
from tf_micle.study import findings, results
from tf_micle.study.design import SHIFTED


def titled(title: str, columns: list[str], rows: list) -> list:
  """Returns the blocks of a table under its title."""
  return [Heading(title), Table(title, columns, rows, "study")]


def of_scores(study, found) -> list[Section]:
  """Returns the sections of what was measured."""
  parts = {
    (one, fraction): {
      arm.name: found[one.name, fraction, arm.name]
      for arm in study.arms
      if (one.name, fraction, arm.name) in found
    }
    for one in study.sets
    for fraction in study.label_fractions
  }
  parts = {key: arms for key, arms in parts.items() if arms}
  scores, drops = [], []
  for (one, fraction), arms in parts.items():
    first = next(iter(arms.values()))
    where = f"{one.name} ({one.kind}), {percent(float(fraction))} of the labels"
    size = f"{first.patients} patients, {first.items} {first.unit}s"
    scores += _table(
      f"{where}: {size}", arms, lambda _, a, s: results.summary(a, s)
    )
    base = arms.get(study.baseline)
    others = {n: arm for n, arm in arms.items() if n != study.baseline}
    if base and others:
      scores += _table(
        f"{where}: difference to {study.baseline}, paired",
        others,
        lambda _, a, s, base=base: results.difference(a, base, s),
        signed=True,
      )
    if one.kind == SHIFTED:
      drops += _table(
        where,
        arms,
        lambda n, _, s, at=(one.name, fraction): results.drop(
          study, found, *at, n, s
        ),
      )
  blocks = [*map(Text, _certainty(study)), *scores]
  sections = [Section("scores", "Scores", "Scores", blocks)]
  if len(study.label_fractions) > 1 and found:
    title = "Label efficiency"
    sections.append(Section("labels", title, title, [_curves(study, found)]))
  if drops:
    text = (
      "The first in-distribution set minus the shifted one: what an arm loses "
      "where images come from elsewhere. Patients of the two are drawn apart."
    )
    title = "In-distribution against shifted"
    sections.append(Section("shift", title, "Shift", [Text(text), *drops]))
  return sections


def methods(study) -> Section:
  """Returns the section on how it was done."""
  points = [
    f"Seeds of pretraining: {', '.join(map(str, study.seeds))}; for each "
    f"{study.label_draws} of fine-tuning, which also draw the patients that "
    "keep their labels. A score is the mean over these runs.",
    "Intervals: 95%, percentiles of a bootstrap over patients "
    f"({results.SAMPLES:,} resamples, the same in all runs and arms, so that "
    "differences are paired).",
    "Each run took the setting of fine-tuning, and the checkpoint, with the "
    f"best {study.select_by} on its own validation patients. Test sets were "
    "looked at once, by the picked run.",
  ]
  if study.folds:
    points.append(
      f"Folds {', '.join(study.folds)}: each is tested once, by models that "
      "were trained on the others but for the next one, which validates. "
      "Top-1 is over all their images or patients. AUROC is taken within each "
      "fold, as scores of two models do not rank each other's images, and is "
      "the mean over folds. Intervals are over the patients of all folds."
    )
  return Section("methods", "Methods", "Methods", list(map(Text, points)))


def _certainty(study):
  count = (len(study.arms) - 1) * len(study.sets) * len(study.label_fractions)
  return [
    "An interval says how the mean over these runs may differ with other "
    "patients; what other seeds do is told by the spread of the runs.",
    f"{count} comparisons with {study.baseline} were made on each score: of "
    "twenty without any difference, one interval leaves out 0 by chance. The "
    "highest of several arms is flattered by being picked after the fact.",
  ]


def _table(title, arms, of, *, signed=False):
  """A row an arm, a column a score; `of` gives (name, arm, score)'s."""
  first = next(iter(arms.values()))
  scores = results.scores_of(first)
  columns = [findings.title(score, first.unit) for score in scores]
  rows = [
    [name, *(_cell(of(name, arm, score), signed) for score in scores)]
    for name, arm in arms.items()
  ]
  return titled(title, ["Arm", *columns], rows)


def _cell(value, signed):
  if value is None:
    return "not known"
  cell = measured(value.entry, signed=signed)
  if value.runs < 2 or cell.undefined:
    return cell
  ends = (number(end, signed=signed) for end in value.spread)
  return dataclasses.replace(
    cell, meaning=f"{value.runs} runs {' to '.join(ends)}"
  )


def _curves(study, found):
  """Scores over the share of labels, a chart a set and score."""
  fractions = sorted(study.label_fractions, key=float)
  first = next(iter(found.values()))
  looks = list(zip(charts.COLORS, charts.DASHES)) * len(study.arms)
  legend = [
    Cell(arm.name, swatch=(color, " ".join(f"{3 * part:g}" for part in dash)))
    for arm, (color, dash) in zip(study.arms, looks)
  ]
  figures = []
  for one in study.sets:
    for score in results.scores_of(first):
      lines = [
        np.array(
          [_point(found.get((one.name, f, arm.name)), score) for f in fractions]
        ).T
        for arm in study.arms
      ]
      name = findings.title(score, first.unit)
      svg = charts.efficiency(list(map(float, fractions)), lines, name=name)
      title = f"{one.name} ({one.kind}): {name}"
      chart = Chart(svg, f"{title}; the numbers are in the tables.")
      figures.append(Figure([chart], Cell(title)))
  return Figures("Label efficiency", figures, legend=legend)


def _point(arm, score):
  value = arm and results.summary(arm, score)
  return (value.value, value.low, value.high) if value else (np.nan,) * 3
