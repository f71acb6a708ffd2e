"""Error that a user can mend."""

from __future__ import annotations


class InputError(ValueError):
  """A command, file or value that its user can mend.

  Only this is told to a user as the user's own; any other exception is a fault
  of the program and ends with its traceback.
  """
