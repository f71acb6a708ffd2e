"""Plurals: a number with its noun."""

from __future__ import annotations

_IRREGULAR = {"class": "classes", "probability": "probabilities"}


def counted(count: int, noun: str, verb: str = "") -> str:
  """Returns "1 patient", "2,000 patients"; "1 patient is", "2 patients are".

  Args:
    count: how many.
    noun: in the singular.
    verb: "is", or "" for none.
  """
  if count != 1:
    noun = _IRREGULAR.get(noun, f"{noun}s")
    verb = "are" if verb else ""
  return f"{count:,} {noun} {verb}".rstrip()
