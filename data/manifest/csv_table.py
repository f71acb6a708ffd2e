"""CSV tables as Excel, R and pandas write them: encoding, separator, rows.

Encoding and separator are found from the file; `.csv.gz` is read as it is.

Rows are numbered as a spreadsheet shows them: the header is row 1, a blank
line counts, a cell with line breaks does not make new rows.
"""

from __future__ import annotations

import collections
import csv
import difflib
import gzip
import itertools
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from data.problems import InputError, Problem, counted

_DELIMITERS = (",", ";", "\t")
_MOST_COLUMNS = 10_000  # More is no manifest, and would take memory by the row.
_NAMES_IN_FULL = 20
_SEP_LINE = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)
_BYTE_ORDER_MARKS = (
  (b"\xef\xbb\xbf", "utf-8-sig"),
  (b"\xff\xfe", "utf-16"),
  (b"\xfe\xff", "utf-16"),
)


class Table(NamedTuple):
  """A table on disk whose header has been read.

  Attributes:
    path: the file.
    header: names of the columns, stripped of white space.
    header_row: row number of the header.
    encoding: the encoding found, as Python names it.
    delimiter: the separator found.
    skip_lines: 1 when the file begins with Excel's `sep=;` line, else 0.
  """

  path: Path
  header: tuple[str, ...]
  header_row: int
  encoding: str
  delimiter: str
  skip_lines: int

  def rows(self) -> Iterator[tuple[int, list[str]]]:
    """Yields (row number, cells), blank rows left out, cells stripped.

    Raises:
      InputError: the file breaks the CSV rules, with the row.
    """
    for number, cells in _records(
      self.path, self.encoding, self.delimiter, self.skip_lines
    ):
      if number > self.header_row:
        yield number, cells


def open_table(path: Path, wanted: tuple[str, ...] = ()) -> Table:
  """Finds encoding and separator of a CSV file and reads its header.

  Args:
    path: the file.
    wanted: names of columns that help to tell the separator.

  Raises:
    InputError: no such file, not readable, not text, or no header.
  """
  try:
    encoding = _find_encoding(path)
    with _open(path, encoding=encoding) as lines:
      sep_line = _SEP_LINE.match(lines.readline())
  except (EOFError, zlib.error, gzip.BadGzipFile) as error:
    raise _error(
      f"Expected a whole gzip file in {str(path)!r}. Received: one that cannot "
      f"be unpacked ({error}): fetch it again."
    ) from error
  except OSError as error:
    raise _error(
      f"Expected the manifest as a CSV file. Received: {str(path)!r}: "
      f"{error.strerror or error}."
    ) from error
  delimiters = (sep_line[1],) if sep_line else _DELIMITERS
  skip_lines = 1 if sep_line else 0
  best, problems = None, []
  for delimiter in delimiters:
    try:
      first = next(_records(path, encoding, delimiter, skip_lines), None)
    except InputError as error:
      problems.append(error)
      continue
    if first is None:
      continue
    found = len(set(first[1]) & set(wanted)), len(first[1])
    if best is None or found > best[0]:
      best = found, delimiter, first
  if best is None:
    if problems:
      raise problems[0]
    raise _error(
      f"Expected a header and rows in {str(path)!r}. Received: an empty file."
    )
  _, delimiter, (header_row, header) = best
  if len(header) > _MOST_COLUMNS:
    raise _error(
      f"Expected at most {_MOST_COLUMNS} columns. Received: {len(header)}. "
      "Keep those that are used.",
      header_row,
    )
  return Table(path, tuple(header), header_row, encoding, delimiter, skip_lines)


def ragged_row(
  number: int, cells: Sequence[str], header: Sequence[str]
) -> Problem | None:
  """Returns what is wrong where a row has not the header's cells."""
  if len(cells) >= len(header) and not any(cells[len(header) :]):
    return None
  message = (
    f"Expected {counted(len(header), 'cell')}, as the header has. Received: "
    f"{len(cells)}: a cell that holds a separator is written in quotes."
  )
  return Problem("ragged row", message, number)


def repeated_names(table: Table) -> list[Problem]:
  """Returns a problem for each name that several columns have."""
  return [
    Problem(
      "duplicate column",
      f"Expected each column name once. Received: {name!r} {count} times: "
      "rename or remove the others.",
      table.header_row,
    )
    for name, count in collections.Counter(table.header).items()
    if name and count > 1
  ]


def missing_column(
  name: str, header: Sequence[str], row: int | None = None
) -> Problem:
  """Returns the problem of a column that is not there."""
  near = difflib.get_close_matches(name, header, n=1)
  hint = f" Did you mean {near[0]!r}?" if near else ""
  more = len(header) - _NAMES_IN_FULL
  told = ", ".join(repr(one) for one in header[:_NAMES_IN_FULL])
  told += f" and {more} more" if more > 0 else ""
  message = f"Expected a column {name!r}. Received: the columns {told}.{hint}"
  return Problem("missing column", message, row)


def _is_gzip(path: Path) -> bool:
  return Path(path).suffix.lower() == ".gz"


def _open(path: Path, encoding: str):
  """Opens a text, packed or not, with line ends as they are."""
  opener = gzip.open if _is_gzip(path) else open
  return opener(path, "rt", encoding=encoding, newline="")


def _records(
  path: Path, encoding: str, delimiter: str, skip_lines: int
) -> Iterator[tuple[int, list[str]]]:
  """Yields (row number, stripped cells) of all rows that are not blank."""
  with _open(path, encoding=encoding) as lines:
    # Strict: a quote that never closes would swallow the rows below silently.
    reader = csv.reader(
      itertools.islice(lines, skip_lines, None),
      delimiter=delimiter,
      strict=True,
    )
    number = 0
    while True:
      number += 1
      try:
        cells = [cell.strip() for cell in next(reader)]
      except StopIteration:
        return
      except csv.Error as error:
        raise _error(_explain(error), number) from error
      if any(cells):
        yield number, cells


def _explain(error: csv.Error) -> str:
  message = str(error)
  if "field limit" in message:
    return (
      f"Expected cells of up to {csv.field_size_limit()} characters. Received: "
      'a longer one, most likely because a quote (") is not closed: close it '
      "or remove it."
    )
  if "unexpected end" in message:
    return (
      'Expected each opening quote (") to be closed. Received: the end of the '
      "file inside a quoted cell that begins in this row: close the quote."
    )
  if "NUL" in message:
    return (
      'Expected text. Received: a NUL character: save the table anew as "CSV '
      'UTF-8".'
    )
  return (
    f"Expected a row of CSV. Received: one that breaks its rules ({message}): "
    "a cell that holds a quote is written in quotes, the quote doubled."
  )


def _find_encoding(path: Path) -> str:
  with gzip.open(path) if _is_gzip(path) else open(path, "rb") as file:
    head = file.read(4096)
  for mark, encoding in _BYTE_ORDER_MARKS:
    if head.startswith(mark):
      return _check_encoding(path, encoding)
  if head.count(b"\0") > len(head) // 4:
    return _check_encoding(
      path, "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    )
  try:
    return _check_encoding(path, "utf-8")
  except InputError:
    # What Excel writes as plain "CSV" on Windows in Europe and the Americas.
    return _check_encoding(path, "cp1252")


def _check_encoding(path: Path, encoding: str) -> str:
  try:
    with _open(path, encoding=encoding) as text:
      while text.read(1 << 20):
        pass
  except UnicodeError as error:
    raise _error(
      f"Expected text in UTF-8, UTF-16 or Windows-1252 in {str(path)!r}. "
      f'Received: bytes that are none of them: save it anew as "CSV UTF-8".'
    ) from error
  return encoding


def _error(message: str, row: int | None = None) -> InputError:
  return InputError([Problem("unreadable manifest", message, row)])
