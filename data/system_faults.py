"""Faults of the operating system, told in a line instead of a traceback."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

_CURES = {
  errno.ENOSPC: "Make room, or write to another disk",
  errno.EDQUOT: "Make room, or write to another disk",
  errno.EFBIG: "Raise the limit (ulimit -f), or write to another disk",
  errno.EEXIST: "See what is there, or write elsewhere",
  errno.ENOTEMPTY: "See what is there, or write elsewhere",
}


def reason(error: OSError) -> str:
  """Returns what the system refused, and what to do about it."""
  of_what = f" {str(error.filename)!r}" if error.filename else ""
  cure = _CURES.get(error.errno, "See to it that you may read and write there")
  return (
    f"The system refused{of_what}: {error.strerror or error}. {cure}, and give "
    "the same command again."
  )


@contextlib.contextmanager
def raised() -> Iterator[None]:
  """Raises what TensorFlow tells of the system as an `OSError`."""
  from tensorflow import errors

  try:
    yield
  except errors.OpError as error:
    for number in errno.errorcode:
      if os.strerror(number) in error.message:
        raise OSError(number, os.strerror(number)) from error
    raise
