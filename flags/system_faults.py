"""What the operating system refuses, said in a line instead of a traceback."""

from __future__ import annotations

import errno
import os

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
_PHRASES = {os.strerror(number): number for number in _NUMBERS}
_CURES = {
  errno.ENOSPC: "Make room",
  errno.EDQUOT: "Make room, or ask for a larger quota",
  errno.EFBIG: "Raise the limit (ulimit -f), or write elsewhere",
}
_CURE = "See to it that this user may read and write there"


def reason(error):
  """Returns what to tell of an error, or None where it is a fault of ours.

  Args:
    error: an exception; of TensorFlow's those that carry the system's words.
  """
  number = None
  if isinstance(error, OSError):
    number = error.errno
  elif type(error).__module__.startswith("tensorflow."):
    words = str(error)
    found = (n for phrase, n in _PHRASES.items() if phrase in words)
    number = next(found, None)
  if number not in _NUMBERS:
    return None
  cure = _CURES.get(number, _CURE)
  message = str(error).splitlines()[0]
  return (
    f"The system refused: {message}. {cure}, and give the same command again: "
    "what was saved before is kept."
  )
