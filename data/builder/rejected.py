"""Rejected images of a build: listed in a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "rejected.csv"


def write_csv(path: Path, bad: Mapping[int, tuple[str, str]]) -> None:
  """Writes row numbers and reasons: nothing that tells a file or a patient."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["row", "reason"])
    for row, (_, reason) in sorted(bad.items()):
      writer.writerow([row, reason])
