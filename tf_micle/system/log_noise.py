"""Log noise: lines of TensorFlow and Keras that tell a user nothing."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

# TensorFlow's and Keras's lines go to these two.
_LOGGERS = ("tensorflow", "absl")
# A signature's graph has other names inside than its callers see; and the
# command says itself where it writes.
EXPORT = (
  "Function `%s` contains input name(s) %s with unsupported characters",
  "Assets written to: ",
  "Writing fingerprint to ",
)
# Reads a loss that is still being computed: the time is the step's.
SLOW_CALLBACK = ("Callback method `on_train_batch_end` is slow compared to",)


@contextlib.contextmanager
def without(beginnings: tuple[str, ...]) -> Iterator[None]:
  """Leaves lines that begin so out of the log, and nothing else."""

  def is_wanted(record):
    return not str(record.msg).startswith(beginnings)

  loggers = [logging.getLogger(name) for name in _LOGGERS]
  for logger in loggers:
    logger.addFilter(is_wanted)
  try:
    yield
  finally:
    for logger in loggers:
      logger.removeFilter(is_wanted)
