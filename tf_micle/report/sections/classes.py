"""Section of the classes: each against all others, or against its absence."""

from __future__ import annotations

from tf_micle.report import tables
from tf_micle.report.blocks import Heading, Section, Table, Text


def section(study):
  """Returns the `Section`."""
  rest = "its absence" if study.findings else "all others"
  title = f"By {study.kind}"
  blocks = [
    Text(
      f"Each {study.kind} against {rest}. Bars show AUROC and its interval "
      "from 0 to 1, with a tick at 0.5, which is guessing. Sensitivity is that "
      f"at {study.specificity} specificity, with a threshold that is read off "
      "these very data."
    )
  ]
  columns = [study.kind.capitalize(), "Positives"]
  columns += [study.column(name) for name in ("AUROC", "AUPRC", "Sensitivity")]
  for level, at in study.at.items():
    part = study.result[level]
    rows = [
      [
        name,
        tables.part_of(part["positives"][name], known),
        tables.measured(part["auroc"][name], bar=True),
        tables.measured(part["auprc"][name]),
        tables.measured(part["sensitivity"][name]),
      ]
      for name, known in zip(study.names, at.stated.sum(axis=0))
    ]
    label = f"Metrics by {study.kind}, per {level}"
    blocks += [Heading(f"Per {level}"), Table(label, columns, rows)]
  return Section("classes", title, title, blocks)
