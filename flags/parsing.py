"""Parsing of a command line past its faults, to tell all of them."""

from __future__ import annotations

import re

from absl import flags

from flags.problems import UsageError


def parse(argv, values=flags.FLAGS):
  """Parses a command line past its faults, to find them all.

  Args:
    argv: the program's name and its arguments.
    values: `absl.flags.FlagValues` to parse into.

  Returns:
    The positional arguments, the program's name first.

  Raises:
    UsageError: naming every unknown flag and every value that does not parse.
  """
  argv, problems = list(argv), []
  while True:
    try:
      rest = values(argv)
      break
    except flags.UnrecognizedFlagError as error:
      problems.append(str(error))
      bad = error.flagname
    except flags.Error as error:
      problems.append(str(error))
      bad = _named(str(error))
    kept = _without(argv, bad)
    if kept == argv:
      break
    argv = kept
  if not problems and len(rest) > 1:
    problems = [
      "Expected flags only (a path with spaces in quotes). Received: "
      f"{' '.join(rest[1:])}"
    ]
  if problems:
    raise UsageError(problems)
  return rest


def _without(argv, name):
  """Drops the arguments that set the flag `name`."""
  if name is None:
    return argv
  pattern = re.compile(rf"--?(no)?{re.escape(name)}(=.*)?$")
  kept, drop_value = [], False
  for argument in argv:
    if drop_value and not argument.startswith("-"):
      drop_value = False
      continue
    drop_value = False
    if pattern.match(argument):
      drop_value = "=" not in argument
    else:
      kept.append(argument)
  return kept


def _named(message):
  """Returns the flag that an error of absl's names, or None."""
  match = re.search(r"--?(?:no)?([A-Za-z_]\w*)", message)
  return match and match.group(1)
