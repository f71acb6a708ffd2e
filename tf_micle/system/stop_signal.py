"""Stop signals: SIGTERM and SIGINT ask to finish the step, save and stop."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

STOPPED = 143  # As a shell tells of a process that SIGTERM ended.
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_END = b"\0"
_ANSWER = b"\nFinishing this step; again to quit now.\n"
_STDERR = 2


class StopSignal:
  """Notes and answers the first signal; the second one ends the process.

  Use as a context manager around training, in the main thread:

    with StopSignal() as stop:
      ...
      if stop.requested: save and leave

  A handler in Python runs between two operations only, and a training step is
  one operation. So a thread listens to what the interpreter writes to a pipe
  the moment that a signal comes, and says so on stderr at once.
  """

  def __init__(self):
    self.requested = False
    self._previous = {}
    self._listener = None

  def __enter__(self):
    self._reader, self._writer = os.pipe()
    os.set_blocking(self._writer, False)
    self._listener = threading.Thread(target=self._listen, daemon=True)
    self._listener.start()
    self._previous_fd = signal.set_wakeup_fd(
      self._writer, warn_on_full_buffer=False
    )
    for number in _SIGNALS:
      self._previous[number] = signal.signal(number, _pass)
    return self

  def __exit__(self, *exception):
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    if self._listener is None:
      return
    signal.set_wakeup_fd(self._previous_fd)
    os.write(self._writer, _END)
    self._listener.join()
    os.close(self._writer)
    os.close(self._reader)

  def _listen(self):
    while (number := os.read(self._reader, 1)) != _END:
      if number[0] not in _SIGNALS:
        continue
      if self.requested:
        os._exit(STOPPED)
      self.requested = True
      # Past Python's own stderr, which the main thread may hold.
      with contextlib.suppress(OSError):
        os.write(_STDERR, _ANSWER)


@contextlib.contextmanager
def handed_on(send):
  """Hands the signals to other processes while the context lasts.

  Args:
    send: called with the number of each signal.
  """
  before = {
    number: signal.signal(number, lambda sent, _: send(sent))
    for number in _SIGNALS
  }
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _pass(number, frame):
  """A handler, without which the interpreter would not write to the pipe."""
  del number, frame
