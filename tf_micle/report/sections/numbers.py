"""Section of the numbers: all metrics at each level, and notes on them."""

from __future__ import annotations

from tf_micle.report import tables
from tf_micle.report.blocks import Cards, Cell, Notes, Section, Table
from tf_micle.system.plurals import counted

_CARDS = {
  "multi_class": ("balanced_accuracy", "mean_auroc", "top1"),
  "multi_label": ("mean_auroc", "mean_auprc", "mean_sensitivity"),
}
# It flatters.
_READ_OFF = ", threshold read off these very data"


def section(basis):
  """Returns the `Section`."""
  result, levels = basis.result, list(basis.at)
  known = tables.scalars(result)
  rows = []
  for key, (name, meaning, lower) in known.items():
    if any(key in result[level] for level in levels):
      said = f"{meaning} Lower is better." if lower else meaning
      values = [tables.measured(result[level].get(key)) for level in levels]
      rows.append([Cell(name, meaning=said), *values])
  counts = [
    Cell(f"{result[at]['labelled']:,} of {counted(result[at]['items'], at)}")
    for at in levels
  ]
  rows.append(["Labelled, of all", *counts])
  last = levels[-1]
  cards = [
    (
      known[key][0],
      tables.measured(result[last].get(key)),
      f"per {last}" + _READ_OFF * (key == "mean_sensitivity"),
    )
    for key in _CARDS[result["task"]]
  ]
  columns = ["Metric", *(basis.column(f"Per {level}") for level in levels)]
  blocks = [Cards(cards), Table("All metrics", columns, rows, "headline")]
  if result["notes"]:
    blocks.append(Notes("What to keep in mind", result["notes"]))
  return Section("numbers", "Numbers", "Numbers", blocks)
