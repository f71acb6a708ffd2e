"""All that is wrong with a command, gathered before anything is started."""

from __future__ import annotations


class UsageError(ValueError):
  """What is wrong with a command line; `problems` has a line for each fault."""

  def __init__(self, problems):
    super().__init__("\n".join(problems))
    self.problems = list(problems)


class Problems:
  """Gathers faults, so that the user hears of all of them at once."""

  def __init__(self, lines=()):
    self._lines = list(lines)

  def add(self, *lines):
    """Adds faults, a line each."""
    self._lines += lines

  def collect(self, function, *args, hint="", **kwargs):
    """Calls `function`; a `ValueError` joins the faults, and None is returned.

    Args:
      function: what to call with the further arguments.
      hint: what to say after the fault.
    """
    try:
      return function(*args, **kwargs)
    except ValueError as error:
      self.add(f"{error}{hint}")
      return None

  def stop_if_any(self):
    """Ends the command with all faults found so far.

    Raises:
      UsageError: if there are any.
    """
    if self._lines:
      raise UsageError(self._lines)

  def __bool__(self):
    return bool(self._lines)
