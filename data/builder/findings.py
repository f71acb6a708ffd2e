"""What is wrong with a user's input, collected so that all is told at once."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import NamedTuple

_LINES_IN_FULL = 100


class Finding(NamedTuple):
  """One fault of the input.

  Attributes:
    kind: short name of the fault, for counting: 'missing image file'.
    message: what was expected, what came, and what to do.
    row: row of the manifest as a spreadsheet numbers it (the header is row 1),
      None when the fault belongs to no row.
  """

  kind: str
  message: str
  row: int | None = None

  def __str__(self) -> str:
    place = "" if self.row is None else f"row {self.row}: "
    return f"{place}{self.message}"


class InputError(ValueError):
  """Input that the user can cure.

  Attributes:
    findings: tuple of `Finding`, in the order of the rows.
  """

  def __init__(self, findings: Sequence[Finding], note: str = ""):
    """Keeps the findings sorted by row; `note` is printed under them."""
    self.findings = tuple(sorted(findings, key=lambda f: f.row or 0))
    super().__init__(format_report(self.findings, note))


def format_report(findings: Sequence[Finding], note: str = "") -> str:
  """Writes findings one a line, the first 100 in full, the rest counted."""
  plural = "problem" if len(findings) == 1 else "problems"
  lines = [f"{len(findings)} {plural} found, nothing was written:"]
  lines += [f"  {line}" for line in as_lines(findings)]
  if note:
    lines.append(note)
  return "\n".join(lines)


def as_lines(findings: Sequence[Finding]) -> list[str]:
  """Returns a line each for the first 100, and one that counts the rest."""
  lines = [str(finding) for finding in findings[:_LINES_IN_FULL]]
  rest = collections.Counter(f.kind for f in findings[_LINES_IN_FULL:])
  if rest:
    kinds = ", ".join(f"{kind}: {n}" for kind, n in rest.most_common())
    lines.append(f"and {sum(rest.values())} more ({kinds})")
  return lines
