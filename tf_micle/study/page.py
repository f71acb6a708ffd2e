"""Report of a study: study.html, study.md and study.csv."""

from __future__ import annotations

import collections
import csv
import os

from tf_micle.report import page as report_page
from tf_micle.report.blocks import Section, Table, Text
from tf_micle.study import accounts, findings, results, sections
from tf_micle.system.plurals import counted
from tf_micle.system.written_whole import written_whole

_TITLE = "Which pretraining is best?"
_COLUMNS = (
  *("set", "kind", "label_fraction", "arm", "level", "score", "runs"),
  *("patients", "items", "value", "low", "high", "lowest_run", "highest_run"),
  *("difference_to_baseline", "difference_low", "difference_high"),
)


def write(folder, study, jobs, cells, journal, found) -> str:
  """Writes the three files of a study; returns what was found, as text."""
  texts = findings.sentences(study, found) or ["No arm was evaluated yet."]
  lacking = sum(not journal.done(job.name) for job in jobs)
  if lacking:
    texts.insert(
      0,
      f"INCOMPLETE: {lacking} of {counted(len(jobs), 'job')} not done. Arms "
      "may be means over other runs than the baseline's; a difference is over "
      "the runs that both have.",
    )
  warned = collections.defaultdict(dict)
  for (name, _, arm), one in found.items():
    for warning in one.warnings:
      warned[warning][f"{arm} on {name}"] = None
  texts[:0] = [f"WARNING, {', '.join(of)}: {w}" for w, of in warned.items()]
  blocks = list(map(Text, texts))
  parts = [
    Section("found", "What was found", "Findings", blocks),
    *sections.of_scores(study, found),
    *accounts.sections_of(folder, study, jobs, cells, journal),
    sections.methods(study),
  ]
  html = report_page.rendered(
    parts,
    kind="Study",
    title=_TITLE,
    lead=_lead(study),
    caution="The numbers describe these data and these models. They do not "
    "show that a model is fit for care.",
  )
  for name, text in (("html", html), ("md", _markdown(parts))):
    with written_whole(os.path.join(folder, f"study.{name}")) as file:
      file.write(text)
  with written_whole(os.path.join(folder, "study.csv")) as file:
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    writer.writerows(_csv_rows(study, found))
  return "\n".join(texts)


def _lead(study):
  names = ", ".join(arm.name for arm in study.arms)
  return f"{counted(len(study.arms), 'arm')}: {names}."


def _markdown(parts):
  """Returns sections as Markdown, charts left out: the tables have them."""
  lines = [f"# {_TITLE}"]
  for part in parts:
    lines += ["", f"## {part.title}", ""]
    for block in part.blocks:
      if isinstance(block, Text):
        lines.append(f"- {block.text}")
      elif isinstance(block, Table):
        lines += ["", f"**{block.label}**", "", _row(block.columns)]
        lines.append("|" + "---|" * len(block.columns))
        lines += [_row(map(_shown, row)) for row in block.cells]
  return "\n".join(lines) + "\n"


def _shown(cell):
  return "; ".join(filter(None, (cell.text, cell.detail, cell.meaning)))


def _row(texts):
  return f"| {' | '.join(texts)} |"


def _csv_rows(study, found):
  kinds = {one.name: one.kind for one in study.sets}
  for (name, fraction, arm), one in found.items():
    base = found.get((name, fraction, study.baseline))
    for score in results.scores_of(one):
      value = results.summary(one, score)
      gap = base and results.difference(one, base, score)
      level, metric = score
      yield (
        *(name, kinds[name], fraction, arm),
        *(one.unit if level == "item" else level, metric, value.runs),
        *(one.patients, one.items, value.value, value.low, value.high),
        *value.spread,
        *((gap.value, gap.low, gap.high) if gap else ("", "", "")),
      )
