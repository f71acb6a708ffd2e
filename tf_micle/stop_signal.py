"""SIGTERM and SIGINT as a wish: finish the step, save, stop."""

from __future__ import annotations

import signal


class StopSignal:
  """Notes the first signal; the second one acts as it would have.

  Use as a context manager around training:

    with StopSignal() as stop:
      ...
      if stop.requested: save and leave
  """

  def __init__(self):
    self.requested = False
    self._previous = {}

  def __enter__(self):
    for number in (signal.SIGTERM, signal.SIGINT):
      self._previous[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *exception):
    self._restore()

  def _note(self, number, frame):
    del number, frame
    self.requested = True
    self._restore()

  def _restore(self):
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    self._previous = {}
