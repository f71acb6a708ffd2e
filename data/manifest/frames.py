"""Frames of files that hold several: which ones a row of the manifest means."""

from __future__ import annotations

import re

from data.manifest.labels import is_missing
from data.manifest.rows import ALL_FRAMES, MIDDLE_FRAME

# As pandas writes a column of numbers with gaps, too.
_NUMBER = re.compile(r"([0-9]{1,9})(\.0*)?")


def read(cell: str) -> str | None:
  """Returns 'all', 'middle' or a number's digits; None where it is none.

  An empty cell is 'all'.
  """
  if is_missing(cell):
    return ALL_FRAMES
  if cell.lower() in (ALL_FRAMES, MIDDLE_FRAME):
    return cell.lower()
  number = _NUMBER.fullmatch(cell)
  return str(int(number[1])) if number else None


def chosen(frames: str, count: int) -> list[int]:
  """Returns the frames that are meant, from 0; [] where there is no such one.

  Args:
    frames: as `read` returned it; frames are numbered from 1 there, as in
      DICOM.
    count: how many frames the file has.
  """
  if frames == ALL_FRAMES:
    return list(range(count))
  if frames == MIDDLE_FRAME:
    return [count // 2]
  number = int(frames)
  return [number - 1] if 1 <= number <= count else []
