"""The CSV manifest: which image belongs to which patient.

All rows are checked, and all problems are told at once. Whether the image files
are there is `image_files`' question.
"""

from __future__ import annotations

import collections
import dataclasses
import difflib
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from data.manifest import frames, labels, manifest_checks
from data.manifest.csv_table import Table, open_table
from data.manifest.rows import ALL_FRAMES, ManifestColumns, ManifestRow
from data.manifest.splits import is_split_name
from data.problems import InputError, Problem, counted

_NAMES_IN_FULL = 20


@dataclasses.dataclass(frozen=True)
class Manifest:
  """A checked manifest.

  Attributes:
    rows: its rows in order.
    columns: the columns that were found, without the optional ones that are
      missing.
    task: 'multi_class', 'multi_label' or 'unlabelled'.
    class_names: classes or findings in the order of their numbers, or ().
    notes: what the user should know though nothing is wrong.
  """

  rows: list[ManifestRow]
  columns: ManifestColumns
  task: str
  class_names: tuple[str, ...]
  notes: tuple[str, ...]

  def metadata_values(self) -> dict[str, tuple[str, ...]]:
    """Returns the values of each metadata column, sorted."""
    return {
      name: tuple(sorted({row.metadata[place] for row in self.rows}))
      for place, name in enumerate(self.columns.metadata)
    }


def read_manifest(
  path: Path, columns: ManifestColumns
) -> tuple[Manifest, list[Problem]]:
  """Reads and checks a manifest.

  Args:
    path: a CSV file as `csv_table` reads it.
    columns: which columns to read; without label columns, as when images to
      predict are listed, the task is 'unlabelled'.

  Returns:
    The manifest, and all that is wrong with its rows. Where there are problems
    the rows are good for one thing only: to check their image files, too.

  Raises:
    InputError: the file cannot be read, or its header is not right.
  """
  table = open_table(path, columns.names())
  columns = _check_header(table, columns)
  problems: list[Problem] = []
  rows: list[ManifestRow] = []
  try:
    for number, cells in table.rows():
      row = _read_row(number, cells, table.header, columns, problems)
      if row is not None:
        rows.append(row)
  except InputError as error:  # The rows below the break cannot be read.
    problems += error.problems
  if not rows and not problems:
    message = (
      f"Expected one row an image below the header of {str(path)!r}. "
      "Received: no rows."
    )
    problems.append(Problem("empty manifest", message))
  problems += manifest_checks.patients_in_two_splits(rows)
  problems += manifest_checks.too_many_values(rows, columns.metadata)
  notes = []
  if table.encoding == "cp1252":
    notes.append("The manifest is not UTF-8: it was read as Windows-1252.")
  task, class_names = "unlabelled", ()
  if columns.labels:
    task, class_names = "multi_label", columns.labels
  elif columns.label:
    rows, class_names, bad = labels.name_classes(rows)
    problems += bad
    task = "multi_class" if class_names else "unlabelled"
    if not class_names:
      notes.append(f"Column {columns.label!r} is empty: no image is labelled.")
    notes += labels.alike_names(class_names)
  return Manifest(rows, columns, task, class_names, tuple(notes)), problems


def _listed(names: Sequence[str]) -> str:
  """Returns the first names, and how many more there are."""
  more = len(names) - _NAMES_IN_FULL
  first = ", ".join(repr(name) for name in names[:_NAMES_IN_FULL])
  return f"{first} and {more} more" if more > 0 else first


def _check_header(table: Table, columns: ManifestColumns) -> ManifestColumns:
  """Returns the columns without the optional ones that are missing."""
  problems = []
  counts = collections.Counter(table.header)
  for name, count in counts.items():
    if name and count > 1:
      message = (
        f"Expected each column name once. Received: {name!r} {count} times: "
        "rename or remove the others."
      )
      problems.append(Problem("duplicate column", message, table.header_row))
  missing = [name for name in columns.names() if name not in counts]
  for name in missing:
    if name not in columns.optional:
      near = difflib.get_close_matches(name, table.header, n=1)
      hint = f" Did you mean {near[0]!r}?" if near else ""
      message = (
        f"Expected a column {name!r}. Received: the columns "
        f"{_listed(table.header)}.{hint}"
      )
      problems.append(Problem("missing column", message, table.header_row))
  if problems:
    raise InputError(problems)
  absent = {
    field: None
    for field in ("patient", "label", "split")
    if getattr(columns, field) in missing
  }
  return dataclasses.replace(columns, **absent)


def _read_row(
  number: int,
  cells: list[str],
  header: tuple[str, ...],
  columns: ManifestColumns,
  problems: list[Problem],
) -> ManifestRow | None:
  """Returns the row, and adds to `problems` what is wrong with it.

  None where there is nothing to look for: no image, or shifted cells.
  """
  if len(cells) < len(header) or any(cells[len(header) :]):
    message = (
      f"Expected {counted(len(header), 'cell')}, as the header has. Received: "
      f"{len(cells)}: a cell that holds a separator is written in quotes."
    )
    problems.append(Problem("ragged row", message, number))
    return None
  cell = dict(zip(header, cells))
  for name in (columns.image, columns.patient, columns.bag, columns.split):
    if name and labels.is_missing(cell[name]):
      came = repr(cell[name]) if cell[name] else "an empty cell"
      message = (
        f"Expected a value in column {name!r}. Received: {came}: fill it in or "
        "remove the row."
      )
      problems.append(Problem("empty cell", message, number))
  split = cell[columns.split] if columns.split else ""
  split = None if labels.is_missing(split) else split
  if split is not None and not is_split_name(split):
    message = (
      f'Expected a split name of letters, digits and _ (not "all") in column '
      f"{columns.split!r}. Received: {split!r}."
    )
    problems.append(Problem("bad split", message, number))
  label: str | tuple[float, ...] | None = None
  if columns.labels:
    label, bad = labels.read_values(number, cell, columns.labels)
    problems += bad
  elif columns.label:
    label = labels.read_name(cell[columns.label])
  which = columns.frames
  if columns.frames_column:
    which = frames.read(cell[columns.frames])
  if which is None:
    message = (
      f"Expected a frame's number from 1, all, or middle in column "
      f"{columns.frames!r}. Received: {cell[columns.frames]!r}."
    )
    problems.append(Problem("bad frame", message, number))
  if labels.is_missing(cell[columns.image]):
    return None
  # One id typed on a Mac and on Windows may differ in its Unicode form only.
  owner = columns.patient or columns.image
  patient = unicodedata.normalize("NFC", cell[owner])
  bag = unicodedata.normalize("NFC", cell[columns.bag or owner])
  metadata = tuple(
    "" if labels.is_missing(cell[name]) else " ".join(cell[name].split())
    for name in columns.metadata
  )
  return ManifestRow(
    row=number,
    image=cell[columns.image],
    patient=patient,
    bag=bag,
    label=label,
    split=split,
    metadata=metadata,
    frames=which or ALL_FRAMES,
  )
