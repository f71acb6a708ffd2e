"""Problems of a user's input, collected so that all are told at once."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import NamedTuple

_LINES_IN_FULL = 100
_ROWS_NAMED = 5


class Problem(NamedTuple):
  """One problem of the input.

  Attributes:
    kind: short name of the problem, for counting: 'missing image file'.
    message: what was expected, what came, and what to do.
    row: row of the manifest as a spreadsheet numbers it (the header is row 1),
      None when the problem belongs to no row.
  """

  kind: str
  message: str
  row: int | None = None

  def __str__(self) -> str:
    place = "" if self.row is None else f"row {self.row}: "
    return f"{place}{self.message}"


class DataError(ValueError):
  """Data, or a question about them, that a user can mend.

  Any other exception is a fault of the program.
  """


class InputError(DataError):
  """Input with all that is wrong with it.

  Attributes:
    problems: tuple of `Problem`, in the order of the rows.
  """

  def __init__(self, problems: Sequence[Problem], note: str = ""):
    """Keeps the problems sorted by row; `note` is printed under them."""
    self.problems = tuple(sorted(problems, key=lambda f: f.row or 0))
    super().__init__(format_report(self.problems, note))


def format_report(problems: Sequence[Problem], note: str = "") -> str:
  """Writes problems one a line, the first 100 in full, the rest counted."""
  found = counted(len(problems), "problem")
  lines = [f"{found} found, nothing was written:"]
  lines += [f"  {line}" for line in as_lines(problems)]
  if note:
    lines.append(note)
  return "\n".join(lines)


def as_lines(problems: Sequence[Problem]) -> list[str]:
  """Returns a line each for the first 100, and one that counts the rest."""
  lines = [str(problem) for problem in problems[:_LINES_IN_FULL]]
  rest = collections.Counter(f.kind for f in problems[_LINES_IN_FULL:])
  if rest:
    kinds = ", ".join(f"{kind}: {n}" for kind, n in rest.most_common())
    lines.append(f"and {sum(rest.values())} more ({kinds})")
  return lines


def counted(number: int, noun: str) -> str:
  """Returns '1 patient', '1,200 patients' or '2 studies'."""
  if number != 1:
    noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
  return f"{number:,} {noun}"


def first_rows(rows: Sequence[int]) -> str:
  """Returns '2, 3, 5', or the first five row numbers and ', ...'."""
  more = ", ..." if len(rows) > _ROWS_NAMED else ""
  return ", ".join(map(str, rows[:_ROWS_NAMED])) + more
