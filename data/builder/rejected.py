"""Rejected images: told to the user, or listed in a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from data.manifest.rows import ManifestRow
from data.problems import Problem

FILE_NAME = "rejected.csv"
HINT = (
  "Images that cannot be read: mend or remove them, or leave them out by "
  "--on_bad_image=skip."
)


def problems(
  rows: Iterable[ManifestRow], bad: Mapping[int, tuple[str, str]]
) -> list[Problem]:
  """Returns a problem for each bad image, given {row: (kind, reason)}."""
  return [
    Problem(
      bad[row.row][0],
      f"Expected an image in {row.image!r}. Received: {bad[row.row][1]}.",
      row.row,
    )
    for row in rows
    if row.row in bad
  ]


def write_csv(path: Path, bad: Mapping[int, tuple[str, str]]) -> None:
  """Writes row numbers and reasons: nothing that tells a file or a patient."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["row", "reason"])
    for row, (_, reason) in sorted(bad.items()):
      writer.writerow([row, reason])
