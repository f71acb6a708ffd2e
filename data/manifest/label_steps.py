"""Steps that make labels of what a file states, and one row of an image's."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np
import pandas as pd

from data.manifest import labels
from data.manifest.label_files import is_missing, need, need_new
from data.manifest.reshape_options import LIST, ONE_HOT
from data.problems import InputError, Problem

_STATED = ("", "0", "-1", "1")  # What several rows say: the last one holds.


def class_of_one_hot(
  frame: pd.DataFrame, columns: Sequence[str], problems: list[Problem]
) -> pd.DataFrame:
  """Makes a column ONE_HOT: the name of the column that is 1, '' where none."""
  need(frame, columns, "--one_hot_columns")
  cells = frame[list(columns)]
  values = cells.apply(pd.to_numeric, errors="coerce")
  bad = ~values.isin((0, 1)) & ~cells.apply(is_missing)
  several = (values == 1).sum(axis=1) > 1
  for row in frame.index[bad.any(axis=1) | several]:
    told = ", ".join(f"{n}={cells.at[row, n]}" for n in columns)
    message = f"Expected one 1 in --one_hot_columns, else 0. Received: {told}."
    problems.append(Problem("bad label", message, row))
  names = np.array(["", *columns], dtype=object)
  ones = (values == 1).to_numpy()
  place = np.where(ones.any(axis=1), ones.argmax(axis=1) + 1, 0)
  return frame.assign(**{ONE_HOT: names[place]})


def findings_of_texts(
  frame: pd.DataFrame,
  column: str,
  separator: str,
  none: Sequence[str],
  chosen: Sequence[str],
  problems: list[Problem],
) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
  """Makes a column of each finding that a label column names.

  In a row that names anything, findings that it does not name are absent.

  Args:
    frame: the table.
    column: of texts as 'A|B'.
    separator: what divides them; 'list': the text is a list, "['A', 'B']".
    none: labels that mean that there is no finding.
    chosen: the findings to keep; (): all, in alphabetical order.
    problems: rows whose list cannot be read are added to.

  Returns:
    The table, the findings, and notes.

  Raises:
    InputError: no finding, or one named as a column.
  """
  need(frame, [column], "--label_separator")
  named: list[frozenset[str]] = []
  for row, text in frame[column].items():
    parts = [] if labels.is_missing(text) else text.split(separator)
    if separator == LIST:
      try:
        parts = ast.literal_eval(text) if parts else []
        if not isinstance(parts, (list, tuple)):
          raise ValueError
      except (ValueError, SyntaxError, MemoryError, RecursionError):
        message = (
          f"Expected a list in text, as ['a', 'b'], in column {column!r}. "
          f"Received: {text!r}."
        )
        problems.append(Problem("bad label", message, row))
        parts = []
    clean = (" ".join(str(part).split()) for part in parts)
    named.append(frozenset(part for part in clean if part))
  seen = frozenset().union(*named)
  findings = tuple(chosen) or tuple(sorted(seen - set(none)))
  if not findings:
    message = (
      f"Expected findings in column {column!r} (--label_separator). Received: "
      "none in any row."
    )
    raise InputError([Problem("no finding", message)])
  need_new(frame, findings, "--label_separator")
  absent = [name for name in (*chosen, *none) if name not in seen]
  notes = [f"No row names {', '.join(map(repr, absent))}."] if absent else []
  made = {
    name: ["" if not some else "01"[name in some] for some in named]
    for name in findings
  }
  return (
    pd.concat([frame, pd.DataFrame(made, frame.index)], axis=1),
    findings,
    notes,
  )


def blanks_absent(frame: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
  """Takes blanks as absent in rows that state any of the findings."""
  need(frame, findings, "--blank")
  blank = frame[list(findings)].apply(is_missing)
  stated = ~blank.all(axis=1)
  filled = frame[list(findings)].mask(blank.mul(stated, axis=0), "0")
  return frame.assign(**filled)


def merge_rows(
  frame: pd.DataFrame,
  image: str,
  findings: Sequence[str],
  others: Sequence[str],
  problems: list[Problem],
) -> pd.DataFrame:
  """Makes one row of all that tell of an image.

  A finding is present where any row says so, else uncertain where any does,
  else absent where any does (1 over -1 over 0 over nothing).

  Args:
    frame: the table.
    image: column of the paths.
    findings: columns of findings.
    others: columns in which an image's rows must agree.
    problems: rows that differ, and bad values, are added to.

  Returns:
    The first row of each image.
  """
  need(frame, [image, *findings, *others], "--merge_rows")
  first = ~frame[image].duplicated()
  row_of = frame.index[first].to_series(index=frame[image][first])
  for name in others:
    leading = row_of.map(frame[name]).reindex(frame[image]).to_numpy()
    for row in frame.index[frame[name].to_numpy() != leading]:
      start = row_of[frame.at[row, image]]
      message = (
        f"Expected one value of column {name!r} in all rows of an image "
        f"(--merge_rows). Received: {frame.at[row, name]!r} here and "
        f"{frame.at[start, name]!r} in row {start}. --label_separator makes "
        "findings of a label column, of which an image may have several."
      )
      problems.append(Problem("rows of an image differ", message, row))
  merged = frame[first]
  if not findings:
    return merged
  cells = frame[list(findings)]
  values = cells.apply(pd.to_numeric, errors="coerce")
  good = values.isin((1, 0, -1)) | cells.apply(is_missing)
  for row in frame.index[~good.all(axis=1)]:
    cell = cells.loc[row].to_dict()
    problems += labels.read_values(row, cell, findings)[1]
  ranks = values.replace({1: 3, -1: 2, 0: 1}).where(good).fillna(0).astype(int)
  highest = ranks.groupby(frame[image], sort=False).max()
  texts = np.array(_STATED, dtype=object)[highest.to_numpy()]
  return merged.assign(**dict(zip(findings, texts.T)))
