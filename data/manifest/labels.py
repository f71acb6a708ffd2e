"""Label cells: class names, or the values of several findings."""

from __future__ import annotations

import collections
import functools
import math
import re
from collections.abc import Mapping, Sequence

from data.manifest.rows import ManifestRow
from data.problems import Problem

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
MISSING = frozenset(("", "na", "nan", "n/a", "<na>", "null"))
_VALUES = (1.0, 0.0, -1.0)


def is_missing(cell: str) -> bool:
  """Whether a cell is empty, or says so as R and pandas write it."""
  return cell.lower() in MISSING


def read_name(cell: str) -> str | None:
  """Returns the class name on one line, None where it is missing."""
  return None if is_missing(cell) else " ".join(cell.split())


def read_values(
  row: int, cell: Mapping[str, str], columns: Sequence[str]
) -> tuple[tuple[float, ...] | None, list[Problem]]:
  """Reads one value a finding: 1, 0, -1 (uncertain), NaN for an empty cell.

  Returns:
    The C values, and what is wrong with them.
  """
  values, problems = [], []
  for name in columns:
    text = cell[name]
    value = _number(text)
    if value not in _VALUES and not math.isnan(value):
      message = (
        f"Expected 1 (present), 0 (absent), -1 (uncertain) or an empty cell "
        f"(not stated) in column {name!r}. Received: {text!r}."
      )
      problems.append(Problem("bad label", message, row))
    values.append(value)
  return tuple(values), problems


@functools.lru_cache(maxsize=256)
def _number(text: str) -> float:
  """Returns one object a text: there may be millions of cells."""
  try:
    return math.nan if is_missing(text) else float(text)
  except ValueError:
    return math.inf


def name_classes(
  rows: Sequence[ManifestRow],
) -> tuple[list[ManifestRow], tuple[str, ...], list[Problem]]:
  """Finds the classes of a multi-class task.

  Where all labels are whole numbers, '1.0' (as pandas writes a column with
  gaps) is '1', and the classes are in the order of the numbers; else in
  alphabetical order.

  Returns:
    The rows with their final class names, the class names, and the problems.
  """
  names = {row.label for row in rows if row.label is not None}
  if not all(_WHOLE_NUMBER.fullmatch(name) for name in names):
    return list(rows), tuple(sorted(names)), []
  number_of = {name: int(name.split(".")[0]) for name in names}
  problems = [
    Problem(
      "bad label",
      f"Expected a class number from 0 up, or an empty cell for an image "
      f"without a label. Received: {row.label!r}.",
      row.row,
    )
    for row in rows
    if row.label is not None and number_of[row.label] < 0
  ]
  named = [
    row if row.label is None else row._replace(label=str(number_of[row.label]))
    for row in rows
  ]
  return named, tuple(str(n) for n in sorted(set(number_of.values()))), problems


def alike_names(class_names: Sequence[str]) -> list[str]:
  """Returns a note for each set of names that differ in case only."""
  groups = collections.defaultdict(list)
  for name in class_names:
    groups[" ".join(name.casefold().split())].append(name)
  return [
    f'Classes {", ".join(repr(n) for n in group)} differ in case or spaces '
    'only, and count as different classes.'
    for group in groups.values()
    if len(group) > 1
  ]
