"""Lock of a folder: one process at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket

from absl import logging

from tf_micle.system.input_error import InputError

FILE_NAME = ".lock"
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


class LockedError(InputError):
  """Another process is at work in the folder."""


@contextlib.contextmanager
def held(folder, *, flag="--model_dir"):
  """Holds a folder while the context lasts.

  The operating system gives it up with the process, however that ends. The
  folder is made if absent, and goes again if nothing came into it.

  Args:
    folder: to be held.
    flag: what names it on the command line.

  Yields:
    The open file that holds it: a process that inherits it holds on, too.

  Raises:
    LockedError: if another process holds it.
    InputError: if it cannot be made or written in.
  """
  made = _missing(folder)
  with _opened(folder, flag) as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      if error.errno in _NO_LOCKS:
        logging.warning(
          "%s cannot be locked on this file system: see to it that no other "
          "process works there.",
          folder,
        )
        yield file
        return
      if not isinstance(error, BlockingIOError):
        raise
      file.seek(0)
      other = file.read().strip() or "another process"
      raise LockedError(
        f"Expected {folder} for this process alone. Received: a folder in "
        f"which {other} is at work. Wait for it or stop it, or give another "
        f"{flag}."
      ) from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    try:
      yield file
    finally:
      if os.listdir(folder) == [FILE_NAME]:
        os.remove(file.name)
        for path in made or [folder]:
          with contextlib.suppress(OSError):  # Others may have put files there.
            os.rmdir(path)


def _opened(folder, flag):
  """Makes a folder where it is missing; returns its lock's file, open."""
  what = "to be where this user may write"
  try:
    os.makedirs(folder, exist_ok=True)
    return open(os.path.join(folder, FILE_NAME), "a+", encoding="utf-8")
  except (FileExistsError, NotADirectoryError, PermissionError) as error:
    if isinstance(error, FileExistsError):
      what = "to be a folder, or a name that is free"
    raise InputError(
      f"Expected {flag} {what}. Received: {flag}={folder}"
    ) from error


def _missing(folder):
  """Returns those of a folder and its parents that are not there, it first."""
  missing, path = [], os.path.abspath(folder)
  while not os.path.exists(path):
    missing.append(path)
    path = os.path.dirname(path)
  return missing
