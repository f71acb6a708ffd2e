"""Section of a comparison: this model minus another, with intervals."""

from __future__ import annotations

from tf_micle.report import tables
from tf_micle.report.blocks import Cell, Heading, Section, Table, Text


def section(study):
  """Returns the `Section`; None without another model."""
  difference = study.result.get("difference")
  if not difference:
    return None
  if not study.result.get("paired", True):
    return _two_sites(study, difference)
  other = study.facts.get("compared_with")
  named = f" ({other})" if other else ""
  blocks = [
    Text(
      f"This model minus the other{named}, on the same {study.unit}s and in "
      "the same resamples of patients. “Better” and “worse” are said only "
      f"where the {study.interval} interval excludes 0."
    )
  ]
  blocks += _tables(study, difference)
  return Section(
    "comparison", "Comparison with another model", "Comparison", blocks
  )


def _two_sites(study, difference):
  words = (
    "These data minus the other evaluation’s "
    f"({study.facts.get('compared_with')}). The two are of other patients, so "
    "the difference is unpaired: the patients of each are resampled apart. Of "
    "one model it is what a change of site costs (a drop is negative); it "
    "holds whatever differs between the two, the mix of patients too."
  )
  blocks = [Text(words), *_tables(study, difference)]
  return Section("comparison", "Two data sets", "Comparison", blocks)


def _tables(study, difference):
  blocks = []
  for level, part in difference.items():
    rows = [
      _row(name, part[key], lower)
      for key, (name, _, lower) in tables.scalars(study.result).items()
      if key in part
    ] + [
      _row(f"AUROC, {name}", part["auroc"][name], False)
      for name in study.names
      if name in part.get("auroc", {})
    ]
    columns = ["Metric", study.column("Difference"), "What it says"]
    label = f"Difference per {level}"
    blocks += [Heading(f"Per {level}"), Table(label, columns, rows)]
  return blocks


def _row(name, entry, lower_is_better):
  said = tables.verdict(entry, lower_is_better=lower_is_better)
  kind = said.split(":")[0] if ":" in said else "open"
  verdict = Cell(said, css=f"verdict {kind}")
  return [name, tables.measured(entry, signed=True), verdict]
