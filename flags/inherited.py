"""Flag values that a run takes over from an earlier run's flags.json."""

from __future__ import annotations

import json
import os

FILE_NAME = "flags.json"


def read(path):
  """Returns the flags of the run that `path` belongs to, {} where none is.

  Args:
    path: a run's folder, a folder of checkpoints in it, or a checkpoint's
      prefix (RUN/checkpoints/ckpt-100).

  Raises:
    ValueError: where flags.json is there and cannot be read.
  """
  folder = os.path.abspath(path)
  for _ in range(3):
    file_name = os.path.join(folder, FILE_NAME)
    if os.path.isfile(file_name):
      return _load(file_name)
    folder = os.path.dirname(folder)
  return {}


def _load(file_name):
  try:
    with open(file_name, encoding="utf-8") as file:
      values = json.load(file)
  except (OSError, ValueError) as error:
    raise ValueError(
      f"Expected {file_name} as a run writes it. Received: {error}"
    ) from error
  if not isinstance(values, dict):
    raise ValueError(
      f"Expected {file_name} as a run writes it. Received: JSON that is not an "
      "object"
    )
  return values
