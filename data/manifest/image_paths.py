"""Steps that find an image's path, and what a pattern reads from a column."""

from __future__ import annotations

import functools
import glob
import os
import posixpath
import re
from collections.abc import Sequence

import pandas as pd

from data.manifest.label_files import is_missing, need, need_new, next_block
from data.manifest.reshape_options import IMAGE, IMAGE_COLUMN
from data.problems import InputError, Problem


def one_image_a_row(
  frame: pd.DataFrame, columns: Sequence[str], problems: list[Problem]
) -> tuple[pd.DataFrame, list[str]]:
  """Makes a row of each image of a row, as of a left and a right eye.

  Args:
    frame: with a column for each image of a row; one may be empty, not all.
    columns: their names.
    problems: what is wrong with rows is added to.

  Returns:
    The table with the columns IMAGE, and IMAGE_COLUMN, the column it stood in;
    and what the row numbers mean.
  """
  flag = "--image_columns"
  need(frame, columns, flag)
  made = [name for name in (IMAGE, IMAGE_COLUMN) if name not in columns]
  need_new(frame, made, flag)
  step = next_block(frame)
  parts = [frame.assign(**{IMAGE: frame[n], IMAGE_COLUMN: n}) for n in columns]
  empty = pd.concat([is_missing(frame[n]) for n in columns], axis=1).all(axis=1)
  problems += [
    Problem(
      "empty cell",
      f"Expected an image in {' or '.join(map(repr, columns))}. Received: "
      "empty cells: fill one in or remove the row.",
      row,
    )
    for row in frame.index[empty]
  ]
  notes = []
  for place, (part, name) in enumerate(zip(parts, columns)):
    part.index = part.index + place * step
    if place:
      notes.append(f"Row {place * step:,} + k is the {name!r} of row k.")
  long = pd.concat(parts)
  return long[~is_missing(long[IMAGE])], notes


def extract(
  frame: pd.DataFrame, step: str, problems: list[Problem]
) -> pd.DataFrame:
  """Makes a column of each named group of a pattern.

  Args:
    frame: the table.
    step: 'COLUMN:REGEX'; the expression is searched for in each cell.
    problems: a cell without it is added to.
  """
  column, _, pattern = step.partition(":")
  need(frame, [column], "--pattern")
  expression = re.compile(pattern)
  need_new(frame, list(expression.groupindex), "--pattern")
  found = frame[column].map(expression.search)
  problems += [
    Problem(
      "no match",
      f"Expected a text with {pattern} in column {column!r} (--pattern). "
      f"Received: {frame.at[row, column]!r}.",
      row,
    )
    for row in frame.index[found.isna()]
  ]
  found = found.dropna()  # A row that is told once is told enough.
  groups = [match.groupdict("") for match in found]
  made = pd.DataFrame(groups, found.index, list(expression.groupindex))
  return pd.concat([frame.loc[found.index], made], axis=1)


def from_template(
  frame: pd.DataFrame,
  template: str,
  columns: Sequence[str],
  problems: list[Problem],
) -> pd.DataFrame:
  """Makes paths, in a column that is named as their template.

  Args:
    frame: the table.
    template: as `str.format` reads it: 'p{patient}/{image}.jpg'.
    columns: those that the template names.
    problems: rows that lack one of the columns' values are added to.
  """
  need(frame, columns, "--path_template")
  columns = list(dict.fromkeys(columns))
  for column in columns:
    problems += [
      Problem(
        "empty cell",
        f"Expected a value in column {column!r}, for the path {template!r}. "
        "Received: an empty cell: fill it in or remove the row.",
        row,
      )
      for row in frame.index[is_missing(frame[column])]
    ]
    frame = frame[~is_missing(frame[column])]
  try:
    paths = [template.format_map(r) for r in frame[columns].to_dict("records")]
    made = pd.Series(paths, frame.index, dtype=object)
  except (ValueError, AttributeError, LookupError) as error:
    message = (
      f"--path_template: Expected formats of texts, as {{name:.2}}. Received: "
      f"{template!r} ({error})."
    )
    raise InputError([Problem("bad option", message)]) from error
  return frame.assign(**{template: made})


def in_folders(
  frame: pd.DataFrame,
  column: str,
  folders: Sequence[str],
  image_root: str,
  problems: list[Problem],
) -> pd.DataFrame:
  """Puts before each path the one folder that it is in.

  A path in none is left as it is, and will be told as a missing file.

  Args:
    frame: the table.
    column: of the paths.
    folders: below the image root, with `*` and `?`.
    image_root: each folder in it is listed once.
    problems: rows whose image is in two folders are added to.
  """
  need(frame, [column], "--image_folders")
  found = _folders(folders, image_root)
  if not found:
    message = (
      f"--image_folders: Expected folders below {image_root!r}. Received: "
      f"{','.join(folders)!r}, and there is none of them."
    )
    raise InputError([Problem("missing folder", message)])

  @functools.cache
  def names(folder: str) -> frozenset[str]:
    try:
      return frozenset(os.listdir(os.path.join(image_root, folder)))
    except OSError:
      return frozenset()

  paths = []
  for row, path in frame[column].items():
    head, tail = posixpath.split(path)
    inside = [
      posixpath.normpath(posixpath.join(folder, path))
      for folder in found
      if tail in names(posixpath.join(folder, head))
    ]
    if len(inside) > 1:
      message = (
        "Expected an image in one of --image_folders. Received: "
        f"{' and '.join(map(repr, inside[:2]))}."
      )
      problems.append(Problem("image in two folders", message, row))
    paths.append(inside[0] if inside else path)
  return frame.assign(**{column: pd.Series(paths, frame.index, dtype=object)})


def _folders(patterns: Sequence[str], image_root: str) -> list[str]:
  """Returns the folders that there are, each once."""
  root = glob.escape(image_root)
  matches = (
    match
    for pattern in patterns
    for match in sorted(glob.glob(os.path.join(root, pattern)))
    if os.path.isdir(match)
  )
  found = (os.path.relpath(match, image_root) for match in matches)
  return list(dict.fromkeys(name.replace(os.sep, "/") for name in found))
