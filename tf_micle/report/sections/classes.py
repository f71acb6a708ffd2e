"""Section of the classes: each against all others, or against its absence."""

from __future__ import annotations

from tf_micle.report import tables
from tf_micle.report.blocks import Heading, Section, Table, Text


def section(basis):
  """Returns the `Section`."""
  rest = "its absence" if basis.findings else "all others"
  title = f"By {basis.kind}"
  blocks = [
    Text(
      f"Each {basis.kind} against {rest}. Bars show AUROC and its interval "
      "from 0 to 1, with a tick at 0.5, which is guessing. Sensitivity "
      "has a threshold that is read off these very data, which flatters."
    )
  ]
  columns = [basis.kind.capitalize(), "Positives"]
  sensitivity = f"Sensitivity at {basis.specificity} specificity"
  columns += [basis.column(name) for name in ("AUROC", "AUPRC", sensitivity)]
  for level, at in basis.at.items():
    part = basis.result[level]
    rows = [
      [
        name,
        tables.part_of(part["positives"][name], known),
        tables.measured(part["auroc"][name], bar=True),
        tables.measured(part["auprc"][name]),
        tables.measured(part["sensitivity"][name]),
      ]
      for name, known in zip(basis.names, at.stated.sum(axis=0))
    ]
    label = f"Metrics by {basis.kind}, per {level}"
    blocks += [Heading(f"Per {level}"), Table(label, columns, rows)]
  return Section("classes", title, title, blocks)
