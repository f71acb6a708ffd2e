"""Section of a comparison: this model minus another, with intervals."""

from __future__ import annotations

from tf_micle.report import tables
from tf_micle.report.blocks import Cell, Heading, Section, Table, Text


def section(basis):
  """Returns the `Section`; None without another model."""
  difference = basis.result.get("difference")
  if not difference:
    return None
  if not basis.result.get("paired", True):
    return _two_sites(basis, difference)
  other = basis.facts.get("compared_with")
  named = f" ({other})" if other else ""
  blocks = [
    Text(
      f"This model minus the other{named}, on the same {basis.unit}s and in "
      "the same resamples of patients. “Better” and “worse” are said only "
      f"where the {basis.interval} interval excludes 0."
    )
  ]
  blocks += _tables(basis, difference, ("This model", "The other"))
  return Section(
    "comparison", "Comparison with another model", "Comparison", blocks
  )


def _two_sites(basis, difference):
  words = (
    "These data minus the other evaluation’s "
    f"({basis.facts.get('compared_with')}). The two are of other patients, so "
    "the difference is unpaired: the patients of each are resampled apart. Of "
    "one model it is what a change of site costs (a drop is negative); it "
    "holds whatever differs between the two, the mix of patients too."
  )
  sites = ("These data", "The others")
  blocks = [Text(words), *_tables(basis, difference, sites)]
  return Section("comparison", "Two data sets", "Comparison", blocks)


def _tables(basis, difference, sides):
  blocks = []
  for level, part in difference.items():
    ours = basis.result[level]
    rows = [
      _row(name, ours[key], part[key], lower)
      for key, (name, _, lower) in tables.scalars(basis.result).items()
      if key in part
    ] + [
      _row(
        f"AUROC, {name}",
        ours["auroc"][name],
        part["auroc"][name],
        False,
        basis.enough[name],
      )
      for name in basis.names
      if name in part.get("auroc", {})
    ]
    columns = ["Metric", *sides, basis.column("Difference"), "What it says"]
    label = f"Difference per {level}"
    blocks += [Heading(f"Per {level}"), Table(label, columns, rows)]
  return blocks


def _row(name, ours, entry, lower_is_better, enough=True):
  said = tables.verdict(entry, lower_is_better=lower_is_better)
  if not enough:
    said = "too few patients to say"
  kind = said.split(":")[0] if ":" in said else "open"
  verdict = Cell(said, css=f"verdict {kind}")
  value, more = ours["value"], entry["value"]
  two = (value, None if None in (value, more) else value - more)
  sides = (Cell(tables.number(one)) for one in two)
  return [name, *sides, tables.measured(entry, signed=True), verdict]
