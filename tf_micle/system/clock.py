"""Clock of a start: what took how long up to the first step."""

from __future__ import annotations

import time

from absl import logging


class Clock:
  """Notes when each part of a start ends."""

  def __init__(self):
    """Starts."""
    self._start = self._last = time.monotonic()
    self._parts = []

  def done(self, part):
    """Notes that `part`, which a line of the log names, is done by now."""
    now = time.monotonic()
    self._parts.append(f"{now - self._last:.1f} s {part}")
    self._last = now

  def log(self, last):
    """Logs all parts, of which `last` is done by now, in a line."""
    self.done(last)
    logging.info(
      "First step after %.1f s: %s",
      self._last - self._start,
      ", ".join(self._parts),
    )
