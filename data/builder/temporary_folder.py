"""Temporary folder beside a build's output, removed whatever happens."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def sibling(output: Path) -> Iterator[Path]:
  """Makes `OUTPUT.building-...`, and removes it unless it was renamed.

  Raises:
    OSError: it cannot be made or written; names the output in its place.
  """
  output.parent.mkdir(parents=True, exist_ok=True)
  folder = output.with_name(f"{output.name}.building-{uuid.uuid4().hex[:8]}")
  remove = functools.partial(shutil.rmtree, folder, ignore_errors=True)
  # A second signal may break off the removal below; then this ends it.
  atexit.register(remove)
  try:
    folder.mkdir()
    yield folder
  except OSError as error:  # The temporary folder says nothing to the user.
    if str(folder) in str(error.filename or folder):
      error.filename, error.filename2 = str(output), None
    raise
  finally:
    remove()
    atexit.unregister(remove)
