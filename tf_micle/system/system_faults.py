"""Faults of the operating system, told in a line instead of a traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import re

# What a user can cure.
_NUMBERS = (
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EFBIG,
  errno.EROFS,
  errno.EACCES,
  errno.EPERM,
  errno.ENOENT,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.EIO,
  errno.EMFILE,
)
_MAY_PASS = (errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE)
_PHRASES = {os.strerror(number): number for number in _NUMBERS}
_CURES = {
  errno.ENOSPC: "Make room",
  errno.EDQUOT: "Make room, or ask for a larger quota",
  errno.EFBIG: "Raise the limit (ulimit -f), or write elsewhere",
}
# Such as {{function_node __wrapped__SaveV2_device_CPU:0}}.
_NODES = re.compile(r"\{\{[^}]*\}\}\s*|\s*\[Op:\w+\](\s*name:)?")
_OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError")
_PEER_LOST = "Collective ops is aborted"
_CURE = "See to it that this user may read and write there"


def reason(error):
  """Returns what to tell of an error, or None where it is a fault of ours.

  Args:
    error: an exception; of TensorFlow's those that carry the system's words.
  """
  if _PEER_LOST in str(error):
    return (
      "Another worker ended, or cannot be reached. See what it says, and give "
      "the same command again on all of them: what was saved before is kept. "
      f"TensorFlow says: {_peer_error(error)}"
    )
  number = _number(error)
  if number is None and type(error).__name__ in _OUT_OF_MEMORY:
    return (
      f"Memory ran out: {first_line(error)}. Lower --train_batch_size or "
      "--eval_batch_size, --image_size or --width_multiplier; docs/"
      "performance.md says what --micro_batch_size and --remat cost. What was "
      "saved before is kept."
    )
  if number not in _NUMBERS:
    return None
  cure = _CURES.get(number, _CURE)
  return (
    f"The system refused: {first_line(error)}. {cure}, and give the same "
    "command again: what was saved before is kept."
  )


def may_pass(error):
  """Whether what an error tells of may be mended without loss: no damage."""
  return (
    _number(error) in _MAY_PASS
    or type(error).__name__ == "ResourceExhaustedError"
  )


@contextlib.contextmanager
def raised():
  """Raises what TensorFlow tells of the system as an `OSError`.

  A file that grows too large is an `OutOfRangeError` to TensorFlow, which Keras
  takes for the end of the data: training would end as if it were done.
  """
  from tensorflow import errors

  try:
    yield
  except errors.OpError as error:
    number = _number(error)
    if number is None:
      raise
    raise OSError(number, first_line(error)) from error


def _number(error):
  """Returns the system's number of an error, or None."""
  if isinstance(error, OSError):
    return error.errno
  if not type(error).__module__.startswith("tensorflow."):
    return None
  words = str(error)
  return next((n for phrase, n in _PHRASES.items() if phrase in words), None)


def _peer_error(error):
  """Returns the line that tells why collective operations ended."""
  return next(line for line in str(error).splitlines() if _PEER_LOST in line)


def first_line(error):
  """Returns what an error says, less TensorFlow's names of graph nodes."""
  lines = str(error).splitlines() or [type(error).__name__]
  return _NODES.sub("", lines[0]).rstrip(" .")
