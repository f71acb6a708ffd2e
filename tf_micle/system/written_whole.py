"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator:
  """A text file to write that takes the place of `path` only when complete."""
  partial = f"{os.fspath(path)}.partial"
  try:
    with open(partial, "w", newline="", encoding="utf-8") as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(partial, path)
  except BaseException:
    with contextlib.suppress(FileNotFoundError):
      os.remove(partial)
    raise


def write_json(path: str | os.PathLike, content) -> None:
  """Writes strict JSON: no NaN, keys as they come."""
  with written_whole(path) as file:
    json.dump(content, file, indent=2, allow_nan=False)
    file.write("\n")
