"""Flag values that a run takes over from an earlier run's flags.json."""

from __future__ import annotations

import glob
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
  if not os.path.isdir(folder):
    folder = os.path.dirname(folder)
  if os.path.basename(folder) in ("checkpoints", "best"):
    folder = os.path.dirname(folder)
  file_name = os.path.join(folder, FILE_NAME)
  return _load(file_name) if os.path.isfile(file_name) else {}


def goes_on(model_dir):
  """Whether a run in this folder has a checkpoint to go on from."""
  return bool(glob.glob(f"{glob.escape(model_dir)}/checkpoints/ckpt-*.index"))


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
