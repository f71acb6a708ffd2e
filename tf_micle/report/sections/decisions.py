"""Section of the decisions at thresholds that were fixed beforehand."""

from __future__ import annotations

import dataclasses

from tf_micle.evaluation.decisions import RATES
from tf_micle.report import tables
from tf_micle.report.blocks import Cell, Heading, Section, Table, Text

_NAMES = {"ppv": "PPV", "npv": "NPV"}
_MISSING = (
  "This run has no thresholds that were fixed beforehand; the notes above say "
  "how to get them. Sensitivities further down take theirs from these very "
  "data, which flatters."
)


def section(basis):
  """Returns the `Section`."""
  points = basis.result.get("operating_points")
  title = "Decisions at fixed thresholds"
  if not points:
    return Section("decisions", title, "Decisions", [Text(_MISSING)])
  one = "A finding" if basis.findings else "A class"
  several = (
    " Each class has its own threshold: several may be called, or none."
    * (not basis.findings)
  )
  blocks = [
    Text(
      f"The thresholds were chosen on {points['data']} ({rule(points)}) and "
      "have not moved since. "
      f"{one} is called where its probability is at least the threshold."
      f"{several} Under a threshold: how many it was chosen on, who have the "
      f"{basis.kind} and who have not, and the sensitivity and specificity "
      "that it had there, which flatter. PPV and NPV hold for a prevalence as "
      "it is here."
    )
  ]
  columns = [basis.kind.capitalize(), "Threshold"]
  columns += [basis.column(_NAMES.get(r, r.capitalize())) for r in RATES]
  for level in basis.at:
    rows = [
      [name, _threshold(points, level, name, found["threshold"])]
      + [rate_cell(found[rate]) for rate in RATES]
      for name, found in basis.result[level]["decisions"].items()
    ]
    label = f"Decisions at fixed thresholds, per {level}"
    blocks += [Heading(f"Per {level}"), Table(label, columns, rows)]
  return Section("decisions", title, "Decisions", blocks)


def _threshold(points, level, name, threshold):
  """A threshold, how many it was chosen on, and its rates there."""
  if threshold is None:
    return Cell(tables.UNDEFINED, undefined=True)
  behind = points["reached"][level][name]
  text = f"{behind['positives']:,} with, {behind['negatives']:,} without"
  rates = (tables.number(behind[rate]) for rate in RATES[:2])
  text += f": {', '.join(rates)}"
  return Cell(tables.number(threshold), meaning=text)


def rule(points):
  """What a rule asks for, in words."""
  name, _, goal = points["rule"].partition("=")
  if not goal:
    return "the highest sum of sensitivity and specificity"
  return f"a {name} of at least {tables.percent(float(goal))} there"


def rate_cell(entry):
  """A rate with its interval and the counts behind it, a `Cell`."""
  cell = tables.measured(entry)
  counts = f"{entry['numerator']:,} of {entry['denominator']:,}"
  return dataclasses.replace(cell, meaning=counts)
