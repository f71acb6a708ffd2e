"""Atomic writes: a file is there complete or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator


@contextlib.contextmanager
def written_whole(path: str | os.PathLike, *, binary: bool = False) -> Iterator:
  """A file to write that takes the place of `path` only when complete.

  It is on the disk by then; where anything fails, nothing of it stays and what
  stood at `path` is as it was.

  Args:
    path: of the file; its folder exists.
    binary: whether bytes are written; else text in UTF-8, newlines as given.
  """
  partial = f"{os.fspath(path)}.writing"
  how = {} if binary else {"newline": "", "encoding": "utf-8"}
  try:
    with open(partial, "wb" if binary else "w", **how) as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(partial, path)
  except BaseException as error:
    if isinstance(error, OSError) and error.filename is None:
      error.filename = os.fspath(path)  # A full disk is told without it.
    with contextlib.suppress(FileNotFoundError):
      os.remove(partial)
    raise


def copy_whole(source: str | os.PathLike, path: str | os.PathLike) -> None:
  """Copies a file as `written_whole` writes one."""
  with open(source, "rb") as there, written_whole(path, binary=True) as file:
    shutil.copyfileobj(there, file)


def flush_folder(folder: str | os.PathLike) -> None:
  """Waits until a folder, with all that is in it, is on the disk."""
  for parent, _, names in os.walk(folder):
    for path in (*(os.path.join(parent, name) for name in names), parent):
      descriptor = os.open(path, os.O_RDONLY)
      try:
        os.fsync(descriptor)
      finally:
        os.close(descriptor)


def write_json(path: str | os.PathLike, content) -> None:
  """Writes strict JSON: no NaN, keys as they come."""
  with written_whole(path) as file:
    json.dump(content, file, indent=2, allow_nan=False)
    file.write("\n")
