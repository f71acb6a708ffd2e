"""Label files as pandas tables: read, put under each other, joined.

A table's index is the row number of each image's row. All cells are texts, ''
where nothing is stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from data.manifest import csv_table, labels
from data.manifest.reshape_options import FILE_SPLIT, split_and_file
from data.problems import InputError, Problem, counted, first_rows


def read(
  path: Path, wanted: tuple[str, ...], problems: list[Problem]
) -> tuple[pd.DataFrame, csv_table.Table]:
  """Reads a CSV file, and adds to `problems` what is wrong with its rows.

  Raises:
    InputError: as `csv_table.open_table`, or a column name stands twice.
  """
  table = csv_table.open_table(path, wanted)
  repeated = csv_table.repeated_names(table)
  if repeated:
    raise InputError(repeated)
  numbers, rows = [], []
  try:
    for number, cells in table.rows():
      ragged = csv_table.ragged_row(number, cells, table.header)
      if ragged:
        problems.append(ragged)
        continue
      numbers.append(number)
      rows.append(cells[: len(table.header)])
  except InputError as error:  # The rows below the break cannot be read.
    problems += error.problems
  frame = pd.DataFrame(rows, numbers, table.header, dtype=object)
  return frame[[name for name in table.header if name]], table


def read_further(
  name: str, folder: Path, wanted: tuple[str, ...], flag: str
) -> pd.DataFrame:
  """Reads a file that stands beside the manifest, packed or not.

  Raises:
    InputError: all that is wrong with it, of no row of the manifest.
  """
  path = folder / name
  other = path.with_suffix("") if path.suffix == ".gz" else f"{path}.gz"
  path = path if path.exists() or not Path(other).exists() else Path(other)
  problems: list[Problem] = []
  try:
    frame, _ = read(path, wanted, problems)
  except InputError as error:
    problems += error.problems
  if problems:
    raise InputError(
      [Problem(p.kind, f"{flag}, {path.name!r}, {p}") for p in problems]
    )
  return frame


def need(frame: pd.DataFrame, names: Sequence[str], flag: str) -> None:
  """Raises InputError where a step's column is not there."""
  problems = [
    csv_table.missing_column(name, list(frame.columns))
    for name in names
    if name not in frame.columns
  ]
  if problems:
    raise InputError(
      [Problem(p.kind, f"{flag}: {p.message}") for p in problems]
    )


def need_new(frame: pd.DataFrame, names: Sequence[str], flag: str) -> None:
  """Raises InputError where a step would write over a column."""
  taken = [repr(name) for name in names if name in frame.columns]
  if taken:
    message = (
      f"{flag}: Expected names that no column has yet. Received: "
      f"{', '.join(taken)}: choose others."
    )
    raise InputError([Problem("duplicate column", message)])


def is_missing(cells: pd.Series) -> pd.Series:
  """Returns where cells are empty, or say so."""
  return cells.str.lower().isin(labels.MISSING)


def next_block(frame: pd.DataFrame) -> int:
  """Returns a power of ten above all row numbers.

  Rows k of a further file, or further images of row k, are numbered from it
  on: 10,000 + k is read at once.
  """
  return 10 ** len(str(max(frame.index, default=1)))


def append(
  frame: pd.DataFrame,
  manifest: Path,
  split: str | None,
  more: Sequence[str],
) -> tuple[pd.DataFrame, list[str]]:
  """Puts files of the same columns under the manifest.

  Args:
    frame: the manifest.
    manifest: its file, which the others stand beside.
    split: of all its rows, or None.
    more: 'SPLIT=FILE' or 'FILE'.

  Returns:
    The table, with a column FILE_SPLIT where there are splits, and what the
    row numbers mean.
  """
  names = [split_and_file(item) for item in more]
  frames, notes = [frame], []
  for _, file in names:
    flag = "--more_manifests"
    further = read_further(file, manifest.parent, tuple(frame.columns), flag)
    need(further, list(frame.columns), f"{flag}, {file!r}")
    frames.append(further[list(frame.columns)])
  step = max(map(next_block, frames))
  for place, (further, (_, file)) in enumerate(zip(frames[1:], names), 1):
    further.index = further.index + place * step
    notes.append(f"Row {place * step:,} + k is row k of {file!r}.")
  if split:
    frames = [
      part.assign(**{FILE_SPLIT: name})
      for part, name in zip(frames, [split, *(name for name, _ in names)])
    ]
  return pd.concat([part for part in frames if len(part)]), notes


def join(
  frame: pd.DataFrame,
  file: str,
  keys: Sequence[tuple[str, str]],
  folder: Path,
) -> tuple[pd.DataFrame, list[str]]:
  """Adds the columns of a file in which each key stands once.

  Keys are compared without regard to case, as the files of one set differ in
  it. A row whose key is not there gets empty cells.

  Args:
    frame: the manifest.
    file: beside the manifest.
    keys: pairs of the manifest's and the file's column.
    folder: of the manifest.

  Returns:
    The table, and notes.
  """
  flag = f"--join, {file!r}"
  ours, theirs = [key for key, _ in keys], [key for _, key in keys]
  need(frame, ours, "--join, the manifest")
  other = read_further(file, folder, tuple(theirs), "--join")
  need(other, theirs, flag)
  fields = [name for name in other.columns if name not in theirs]
  need_new(frame, fields, f"{flag} (name a column of both as a key, too)")
  other = other.drop_duplicates()
  key = _joined_key(other, theirs)
  if key.duplicated().any():
    rows = first_rows(key.index[key.duplicated(keep=False)])
    message = (
      f"{flag}: Expected each {', '.join(theirs)} once. Received: several rows "
      f"that differ (rows {rows} of that file)."
    )
    raise InputError([Problem("repeated key", message)])
  wanted = _joined_key(frame, ours)
  lost = ~wanted.isin(set(key))
  if lost.all() and len(frame):
    message = (
      f"{flag}: Expected values of {', '.join(ours)} that stand in "
      f"{', '.join(theirs)} of that file. Received: none that does."
    )
    raise InputError([Problem("nothing to join", message)])
  found = other[fields].set_axis(key).reindex(wanted).fillna("")
  notes = []
  if lost.any():
    notes.append(
      f"{counted(int(lost.sum()), 'row')} found no partner in {file!r}, and no "
      f"values of its columns (row {first_rows(frame.index[lost])})."
    )
  return pd.concat([frame, found.set_axis(frame.index)], axis=1), notes


def _joined_key(frame: pd.DataFrame, names: Sequence[str]) -> pd.Series:
  """Returns one text a row of all key columns."""
  first, *rest = (frame[name].str.casefold() for name in names)
  return first.str.cat(rest, sep="\x1f") if rest else first
