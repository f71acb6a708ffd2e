"""Section of confusion: what was decided for what was so."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import curves
from tf_micle.report import tables
from tf_micle.report.blocks import Cell, Heading, Section, Table, Text

_FINDINGS = (
  "A finding is called present where its probability is at least 0.5. Colour "
  "is the share of the truth: of those that have it, and of those that do not."
)
_CLASSES = (
  "Truth in rows, the model’s most probable class in columns. Numbers are "
  "counts; colour is the share of the row."
)
_MANY = 12


def section(basis):
  """Returns the `Section`."""
  blocks = [Text(_FINDINGS if basis.findings else _CLASSES)]
  for level, at in basis.at.items():
    counts = curves.confusion(at.labels, at.probabilities)
    label = f"Confusion per {level}"
    table = (_of_findings if basis.findings else _of_classes)(
      label, basis.names, counts
    )
    blocks += [Heading(f"Per {level}"), table]
  return Section("confusion", "Confusion", "Confusion", blocks)


def _of_findings(label, names, counts):
  columns = ["Finding", "present, found", "present, missed"]
  columns += ["absent, false alarm", "absent, called absent"]
  rows = []
  for name, two in zip(names, counts):
    shares = _shares(two)
    cells = [
      Cell(f"{two[t, d]:,}", tables.percent(round(shares[t, d], 3)))
      for t in (1, 0)
      for d in (1, 0)
    ]
    looks = [tables.shade(shares[t, d]) for t in (1, 0) for d in (1, 0)]
    rows.append([name, *(_styled(*pair) for pair in zip(cells, looks))])
  return Table(label, columns, rows, "confusion two")


def _of_classes(label, names, counts):
  rows = []
  for row, (name, line, shares) in enumerate(
    zip(names, counts, _shares(counts))
  ):
    cells = [
      Cell(
        str(count) if count or place == row else "",
        title=f"{tables.percent(round(share, 3))} of the row" if count else "",
        style=tables.shade(share),
        css="right" if place == row else "",
      )
      for place, (count, share) in enumerate(zip(line, shares))
    ]
    rows.append([Cell(name, title=name), *cells])
  css = "confusion matrix" + " many" * (len(names) > _MANY)
  return Table(label, ["truth ↓ model →", *names], rows, css)


def _styled(cell, style):
  return Cell(cell.text, cell.detail, style=style)


def _shares(counts):
  return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
