"""Section of the cohort: from what was given to what counts, and who it is."""

from __future__ import annotations

import numpy as np

from tf_micle.report import tables
from tf_micle.report.blocks import Cell, Heading, Section, Table, Text

# More values than this are no groups of people.
_MOST_VALUES = 20
_WORDS = (
  "From what the split holds to what counts, at each level. Rows that the "
  "builder rejected never came here: they are in rejected.csv beside the data."
)


def section(basis):
  """Returns the `Section`."""
  blocks = [Text(_WORDS), _flow(basis), Heading("Who they are")]
  blocks += [_people(basis), *_size(basis)]
  return Section("cohort", "Flow and cohort", "Cohort", blocks)


def _flow(basis):
  rows = []
  for level, at in basis.at.items():
    stated = at.stated.any(axis=1)
    uncertain = np.zeros(len(at), bool)
    if basis.findings:
      uncertain = (at.labels == -1).any(axis=1) & ~stated
    given = len(at)
    counts = [uncertain.sum(), (~stated & ~uncertain).sum(), stated.sum()]
    cells = [tables.part_of(int(count), given) for count in counts]
    rows.append([f"{level.capitalize()}s", f"{given:,}", *cells])
  columns = [
    "Level",
    "Given",
    "Uncertain only",
    "No label, or several",
    "Scored",
  ]
  return Table("Flow", columns, rows)


def _people(basis):
  """A paper's first table, of the patients of this split."""
  at, items = basis.at["patient"], basis.predictions
  total = len(at)
  _, sizes = np.unique(items.patient_id, return_counts=True)
  each = f"{np.median(sizes):g} ({sizes.min()} to {sizes.max()})"
  rows = [
    ["Patients", f"{total:,}"],
    [f"{basis.unit.capitalize()}s a patient, median (range)", each],
  ]
  for name, has, known in zip(basis.names, at.positive.T, at.stated.T):
    rows.append([name, _share(has.sum(), known.sum())])
  for column, values in at.metadata.items():
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= _MOST_VALUES:
      rows += [
        [f"{column}: {value or '(not stated)'}", _share(count, total)]
        for value, count in zip(found.tolist(), counts)
      ]
  return Table("Cohort, by patient", ["", "Patients"], rows)


def _share(count, whole):
  share = tables.percent(round(count / whole, 3)) if whole else "-"
  return Cell(f"{count:,}", f"of {whole:,}, {share}")


def _size(basis):
  """How many patients would halve the main interval, if it has a width."""
  part = basis.result["patient"]
  entry = part["mean_auroc"]
  if entry["low"] is None or entry["high"] <= entry["low"]:
    return []
  return [
    Text(
      f"The interval of the mean AUROC per patient is "
      f"{tables.number(entry['high'] - entry['low'])} wide with "
      f"{part['labelled']:,} labelled patients. Widths go with the root of the "
      f"number: about {4 * part['labelled']:,} patients of the same kind would "
      "halve it."
    )
  ]
