"""Problems of a command, gathered before anything is started."""

from __future__ import annotations


class UsageError(ValueError):
  """What is wrong with a command; `problems` has a line for each."""

  def __init__(self, problems):
    super().__init__("\n".join(problems))
    self.problems = list(problems)


class Problems:
  """Gathers problems, so that the user hears of all of them at once."""

  def __init__(self, mistakes=()):
    """Begins without any.

    Args:
      mistakes: tuple of the classes of errors that a user can mend.
    """
    self._mistakes = (*mistakes, UsageError)
    self._lines = []

  def add(self, *lines):
    """Adds problems, a line each; those that are known are told once."""
    self._lines += [line for line in lines if line not in self._lines]

  def collect(self, function, *args, hint="", **kwargs):
    """Calls `function`; what a user can mend joins the problems.

    Any other exception is a fault of the program, and is raised.

    Args:
      function: what to call with the further arguments.
      hint: what to say after the problem.

    Returns:
      What the function returns; None where there was a problem.
    """
    try:
      return function(*args, **kwargs)
    except UsageError as error:
      self.add(*error.problems)
    except self._mistakes as error:
      self.add(f"{error}{hint}")
    return None

  def stop_if_any(self):
    """Ends the command with all problems found so far.

    Raises:
      UsageError: if there are any.
    """
    if self._lines:
      raise UsageError(self._lines)

  def __bool__(self):
    return bool(self._lines)
