"""Files for a paper: each table of a report as CSV, each figure as SVG."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence

from tf_micle.evaluation.predictions_csv import text_to_cell
from tf_micle.report.blocks import Figures, Section, Table
from tf_micle.system.written_whole import written_whole

TABLES, FIGURES = "tables", "figures"


def write(folder: str, sections: Sequence[Section]) -> None:
  """Writes tables/ and figures/ into an evaluation's folder.

  What an earlier report left there goes. Intervals and counts have columns of
  their own.

  Args:
    folder: of the evaluation.
    sections: of its report.
  """
  for name, ending in ((TABLES, ".csv"), (FIGURES, ".svg")):
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    for old in os.listdir(os.path.join(folder, name)):
      if old.endswith(ending):
        os.remove(os.path.join(folder, name, old))
  for section in sections:
    for place, block in enumerate(section.blocks):
      stem = _stem(section.name, place, getattr(block, "label", ""))
      if isinstance(block, Table):
        _write_table(os.path.join(folder, TABLES, f"{stem}.csv"), block)
      elif isinstance(block, Figures):
        charts = [chart for one in block.figures for chart in one.charts]
        for number, chart in enumerate(charts, start=1):
          path = os.path.join(folder, FIGURES, f"{stem}-{number}.svg")
          with written_whole(path) as file:
            file.write(chart.svg)


def _stem(section, place, label):
  """Letters, digits and dashes: names from data may hold anything."""
  words = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:40]
  return f"{section}-{place}-{words}".rstrip("-")


def _write_table(path, table):
  columns = list(zip(*table.cells)) if table.rows else []
  kept = []  # (name, texts)
  for name, cells in zip(table.columns, columns):
    kept.append((name, [cell.text for cell in cells]))
    if any(cell.ends for cell in cells):
      ends = zip(*(cell.ends or ("", "", "") for cell in cells))
      for what, texts in zip(("low", "high", "method"), ends):
        kept.append((f"{name} ({what})", texts))
    elif any(cell.detail for cell in cells):
      kept.append((f"{name} (detail)", [cell.detail for cell in cells]))
    if kept[1:] and any(cell.meaning for cell in cells):
      kept.append((f"{name} (counts)", [cell.meaning for cell in cells]))
  with written_whole(path) as file:
    writer = csv.writer(file)
    for row in zip(*([name, *texts] for name, texts in kept)):
      writer.writerow([text_to_cell(text.replace("−", "-")) for text in row])
