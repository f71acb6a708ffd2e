"""Report of a study: study.html, study.md and study.csv."""

from __future__ import annotations

import csv
import os
import pathlib

import numpy as np

from tf_micle.report import charts
from tf_micle.report import page as report_page
from tf_micle.report.tables import number, percent
from tf_micle.study import findings, results
from tf_micle.study.accounts import accounts
from tf_micle.study.blocks import (
  Chart,
  Heading,
  Paragraph,
  Points,
  Table,
  markdown,
)
from tf_micle.system.written_whole import written_whole

_TITLE = "Which pretraining is best?"
_NOTHING = "Nothing can be said yet: no evaluation of an arm is complete."
_COLUMNS = (
  *("set", "kind", "label_fraction", "arm", "level", "score", "runs"),
  *("patients", "items", "value", "low", "high", "lowest_run", "highest_run"),
  *("difference_to_baseline", "difference_low", "difference_high"),
)


def write(folder, study, jobs, cells, journal, found) -> str:
  """Writes the three files of a study; returns what was found, as text."""
  texts = findings.sentences(study, found) or [_NOTHING]
  blocks = [
    Heading("What was found"),
    Points(texts),
    Paragraph(_certainty(study)),
    *_scores(study, found),
    *_curves(study, found),
    *_shift(study, found),
    *accounts(folder, study, jobs, cells, journal),
    Heading("Methods"),
    Points(_methods(study)),
  ]
  with written_whole(os.path.join(folder, "study.md")) as file:
    file.write(markdown(_TITLE, blocks))
  sections = []
  for block in blocks:
    if isinstance(block, Heading):
      sections.append([])
    sections[-1].append(block)
  html = report_page.rendered(
    pathlib.Path(__file__).parent / "study.html",
    title=_TITLE,
    sections=sections,
    source=charts.source,
  )
  with written_whole(os.path.join(folder, "study.html")) as file:
    file.write(html)
  with written_whole(os.path.join(folder, "study.csv")) as file:
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    writer.writerows(_csv_rows(study, found))
  return "\n".join(texts)


def _certainty(study):
  count = (len(study.arms) - 1) * len(study.sets) * len(study.label_fractions)
  return (
    "An interval says how the mean over these runs may differ with other "
    "patients; what other seeds would do is told by the spread of the runs. "
    f"{count} comparisons with {study.baseline} were made on each score: of "
    "twenty without any difference, one interval leaves out 0 by chance. The "
    "highest of several arms is flattered by being picked after the fact."
  )


def _scores(study, found):
  """Tables of scores and of differences, a set and a fraction each."""
  yield Heading("Scores")
  for one in study.sets:
    for fraction in study.label_fractions:
      arms = _of(study, found, one.name, fraction)
      if not arms:
        continue
      first = next(iter(arms.values()))
      scores = _scores_of(first)
      columns = [findings.title(score, first.unit) for score in scores]
      where = (
        f"{one.name} ({one.kind}), {percent(float(fraction))} of the labels: "
        f"{first.patients} patients, {first.items} {first.unit}s"
      )
      rows = [
        [name, *(_cell(results.summary(arm, score)) for score in scores)]
        for name, arm in arms.items()
      ]
      yield Table(where, ["Arm", *columns], rows)
      base = arms.pop(study.baseline, None)
      if base and arms:
        rows = [
          [
            name,
            *(
              _cell(results.difference(arm, base, score), signed=True)
              for score in scores
            ),
          ]
          for name, arm in arms.items()
        ]
        yield Table(
          f"Difference to {study.baseline}, paired", ["Arm", *columns], rows
        )


def _curves(study, found):
  """Scores over the share of labels, where there are several."""
  fractions = sorted(study.label_fractions, key=float)
  if len(fractions) < 2 or not found:
    return
  yield Heading("Label efficiency")
  for one in study.sets:
    for score in _scores_of(next(iter(found.values()))):
      lines, legend = [], []
      for number_of_arm, arm in enumerate(study.arms):
        points = [
          results.summary(found[key], score) if key in found else None
          for key in ((one.name, share, arm.name) for share in fractions)
        ]
        lines.append(
          tuple(
            np.array([getattr(p, part) if p else np.nan for p in points])
            for part in ("value", "low", "high")
          )
        )
        look = number_of_arm % len(charts.COLORS)
        dash = " ".join(f"{3 * length:g}" for length in charts.DASHES[look])
        legend.append((arm.name, charts.COLORS[look], dash))
      unit = next(iter(found.values())).unit
      name = findings.title(score, unit)
      svg = charts.efficiency(
        [float(share) for share in fractions], lines, name=name.capitalize()
      )
      yield Chart(f"{one.name} ({one.kind}): {name}", svg, legend)


def _shift(study, found):
  """What is lost from the in-distribution to each shifted set."""
  shifted = results.shifted_sets(study)
  if not shifted or not found:
    return
  yield Heading("In-distribution against shifted")
  yield Paragraph(
    "The first in-distribution set minus the shifted one: what an arm loses "
    "where images come from elsewhere. Patients of the two are drawn apart."
  )
  for name in shifted:
    for fraction in study.label_fractions:
      arms = _of(study, found, name, fraction)
      if not arms:
        continue
      first = next(iter(arms.values()))
      scores = _scores_of(first)
      rows = [
        [
          arm,
          *(
            _cell(results.drop(study, found, fraction, arm, score, name))
            for score in scores
          ),
        ]
        for arm in arms
      ]
      columns = [findings.title(score, first.unit) for score in scores]
      share = percent(float(fraction))
      yield Table(
        f"Drop on {name}, {share} of the labels", ["Arm", *columns], rows
      )


def _methods(study):
  if study.folds:
    yield (
      f"Folds {', '.join(study.folds)}: each is tested once, by models that "
      "were trained on the others but for the next one, which validates. "
      "Their patients are pooled: one score over all."
    )
  yield (
    f"Seeds of pretraining: {', '.join(map(str, study.seeds))}; for each "
    f"{study.label_draws} of fine-tuning, which also draw the patients that "
    "keep their labels. A score is the mean over these runs."
  )
  yield (
    "Intervals: 95%, percentiles of a bootstrap over patients "
    f"({results.SAMPLES:,} resamples, the same in all runs and arms, so that "
    "differences are paired)."
  )
  yield (
    "Each run took the setting of fine-tuning, and the checkpoint, with the "
    f"best {study.select_by} on its own validation patients. Test sets were "
    "looked at once, by the picked run."
  )


def _of(study, found, name, fraction):
  keys = [(name, fraction, arm.name) for arm in study.arms]
  return {key[-1]: found[key] for key in keys if key in found}


def _scores_of(one):
  known = next(iter(one.values.values()))
  return [score for score in results.SCORES if score in known]


def _cell(measured, *, signed=False):
  if measured is None:
    return "not known"
  value = number(measured.value, signed=signed)
  cell = [value, findings.interval(measured, signed=signed)]
  if measured.runs > 1:
    ends = (number(end, signed=signed) for end in measured.spread)
    cell.append(f"{measured.runs} runs {' to '.join(ends)}")
  return cell


def _csv_rows(study, found):
  kinds = {one.name: one.kind for one in study.sets}
  for (name, fraction, arm), one in found.items():
    base = found.get((name, fraction, study.baseline))
    for score in _scores_of(one):
      value = results.summary(one, score)
      gap = None
      if base and arm != study.baseline:
        gap = results.difference(one, base, score)
      level, metric = score
      yield (
        *(name, kinds[name], fraction, arm),
        *(one.unit if level == "item" else level, metric, value.runs),
        *(one.patients, one.items, value.value, value.low, value.high),
        *value.spread,
        *((gap.value, gap.low, gap.high) if gap else ("", "", "")),
      )
