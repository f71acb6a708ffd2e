"""Checks of a manifest that no single row can show to be wrong."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path

from data.manifest.rows import ManifestRow
from data.problems import Problem, counted, first_rows

_MOST_METADATA_VALUES = 50
_NAMES_SHOWN = 3


def no_rows(path: Path) -> Problem:
  """Returns the problem of a manifest that is a header only."""
  message = (
    f"Expected one row an image below the header of {str(path)!r}. "
    "Received: no rows."
  )
  return Problem("empty manifest", message)


def patients_in_two_splits(rows: list[ManifestRow]) -> list[Problem]:
  """Finds patients whose images would be trained on and tested on."""
  splits: dict[str, dict[str, list[int]]] = collections.defaultdict(dict)
  for row in rows:
    if row.split and row.patient:
      splits[row.patient].setdefault(row.split, []).append(row.row)
  problems = []
  for patient, places in splits.items():
    if len(places) > 1:
      told = "; ".join(f"{s!r} ({_rows(r)})" for s, r in places.items())
      message = (
        f"Expected patient {patient!r} in one split. Received: {told}: move "
        "all images of the patient to one split."
      )
      first = min(rows[0] for rows in places.values())
      problems.append(Problem("patient in two splits", message, first))
  return problems


def too_many_values(
  rows: list[ManifestRow], names: tuple[str, ...]
) -> list[Problem]:
  """Refuses metadata that may tell patients apart: dates, ages in days."""
  problems = []
  for place, name in enumerate(names):
    values = {row.metadata[place] for row in rows}
    if len(values) > _MOST_METADATA_VALUES:
      message = (
        f"--metadata_columns: Expected at most {_MOST_METADATA_VALUES} "
        f"different values in column {name!r}, which are stored as they are. "
        f"Received: {len(values)}, by which a patient may be found: group them "
        "first, ages to decades and dates to years."
      )
      problems.append(Problem("too many values", message))
  return problems


def combined_classes(column: str, names: Sequence[str]) -> list[Problem]:
  """Refuses classes that look like several findings in one cell.

  `A|B` always does; with a comma or semicolon, if all of its parts stand in
  other classes, too: 'melanoma, in situ' alone is one name.
  """
  for separator in ("list", "|", ";", ","):
    if separator == "list":
      found = [n for n in names if n.startswith("[") and n.endswith("]")]
    else:
      parts = {n: {p.strip() for p in n.split(separator)} for n in names}
      counts = collections.Counter(p for ps in parts.values() for p in ps)
      found = [
        name
        for name, some in parts.items()
        if separator in name
        and (separator == "|" or all(counts[part] > 1 for part in some))
      ]
    if found:
      shown = ", ".join(repr(name) for name in found[:_NAMES_SHOWN])
      message = (
        f"Expected one class a cell in column {column!r}. Received: "
        f"{len(found)} of {len(names)} "
        f"classes that look like several findings ({shown}): pass "
        f"--label_separator={separator!r} to make a finding of each part, or "
        "--label_separator=none if these are single classes."
      )
      return [Problem("combined classes", message)]
  return []


def _rows(rows: list[int]) -> str:
  return f"{counted(len(rows), 'row')}: {first_rows(rows)}"
