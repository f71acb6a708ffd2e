"""One process at a time in a run's folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket

FILE_NAME = ".lock"


class LockedError(ValueError):
  """Another process is at work in the folder."""


@contextlib.contextmanager
def held(folder):
  """Holds a folder while the context lasts.

  The operating system gives it up with the process, however that ends. The
  folder is made if absent, and goes again if nothing came into it.

  Args:
    folder: of a run.

  Raises:
    LockedError: if another process holds it.
  """
  os.makedirs(folder, exist_ok=True)
  with open(os.path.join(folder, FILE_NAME), "a+", encoding="utf-8") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      file.seek(0)
      other = file.read().strip() or "another process"
      raise LockedError(
        f"Expected {folder} for this process alone. Received: a folder in "
        f"which {other} is at work. Wait for it or stop it, or give another "
        "--model_dir."
      ) from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    try:
      yield
    finally:
      if os.listdir(folder) == [FILE_NAME]:
        os.remove(file.name)
        os.rmdir(folder)
