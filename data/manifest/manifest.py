"""The CSV manifest: which image belongs to which patient.

All rows are checked, and all problems are told at once. Whether the image files
are there is `image_files`' question.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path

from data.manifest import frames, labels, manifest_checks
from data.manifest.csv_table import (
  Table,
  missing_column,
  open_table,
  ragged_row,
  repeated_names,
)
from data.manifest.reshape_options import ReshapeOptions
from data.manifest.rows import ALL_FRAMES, ManifestColumns, ManifestRow
from data.manifest.splits import is_split_name
from data.problems import InputError, Problem


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
    numbering: what row numbers mean that are none of the file's, or ().
  """

  rows: list[ManifestRow]
  columns: ManifestColumns
  task: str
  class_names: tuple[str, ...]
  notes: tuple[str, ...]
  numbering: tuple[str, ...] = ()

  def metadata_values(self) -> dict[str, tuple[str, ...]]:
    """Returns the values of each metadata column as stored, sorted."""
    return {
      name: tuple(sorted({row.metadata[place] for row in self.rows}))
      for place, name in enumerate(self.columns.stored_metadata())
    }


def read_manifest(
  path: Path,
  columns: ManifestColumns,
  reshape: ReshapeOptions | None = None,
  image_root: str = "",
) -> tuple[Manifest, list[Problem]]:
  """Reads and checks a manifest.

  Args:
    path: a CSV file as `csv_table` reads it.
    columns: which columns to read; without label columns, as when images to
      predict are listed, the task is 'unlabelled'.
    reshape: how to make one row an image of a file that is otherwise.
    image_root: folder of the images, where these steps look for them.

  Returns:
    The manifest, and all that is wrong with its rows. Where there are problems
    the rows are good for one thing only: to check their image files, too.

  Raises:
    InputError: the file cannot be read, or its header is not right.
  """
  reshape = reshape or ReshapeOptions()
  problems: list[Problem] = []
  notes: list[str] = []
  numbering: tuple[str, ...] = ()
  if reshape.used():
    from data.manifest import reshaping  # Imports pandas.

    try:
      table = reshaping.reshape(path, columns, reshape, image_root, problems)
    except InputError as error:  # What rows have told so far is told, too.
      raise InputError([*problems, *error.problems]) from error
    columns, numbering = table.columns, tuple(table.numbering)
    notes += table.notes
  else:
    table = open_table(path, columns.names())
  columns = _check_header(table, columns)
  rows: list[ManifestRow] = []
  try:
    for number, cells in table.rows():
      row = _read_row(number, cells, table.header, columns, problems)
      if row is not None:
        rows.append(row)
  except InputError as error:  # The rows below the break cannot be read.
    problems += error.problems
  if not rows and not problems:
    problems.append(manifest_checks.no_rows(path))
  problems += manifest_checks.patients_in_two_splits(rows)
  problems += manifest_checks.too_many_values(rows, columns.metadata)
  if table.encoding == "cp1252":
    notes.append("The manifest is not UTF-8: it was read as Windows-1252.")
  task, class_names = "unlabelled", ()
  if columns.labels:
    task, class_names = "multi_label", columns.labels
  elif columns.label:
    rows, class_names, bad = labels.name_classes(rows)
    problems += bad
    if not reshape.label_separator:
      problems += manifest_checks.combined_classes(columns.label, class_names)
    task = "multi_class" if class_names else "unlabelled"
    if not class_names:
      notes.append(f"Column {columns.label!r} is empty: no image is labelled.")
    notes += labels.alike_names(class_names)
  manifest = Manifest(rows, columns, task, class_names, tuple(notes), numbering)
  return manifest, problems


def _check_header(table: Table, columns: ManifestColumns) -> ManifestColumns:
  """Returns the columns without the optional ones that are missing."""
  problems = repeated_names(table)
  missing = [name for name in columns.names() if name not in table.header]
  problems += [
    missing_column(name, table.header, table.header_row)
    for name in missing
    if name not in columns.optional
  ]
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
  ragged = ragged_row(number, cells, header)
  if ragged:
    problems.append(ragged)
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
