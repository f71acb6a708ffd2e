"""Command of `data`: its flags, its exit statuses, how faults are told."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from absl import flags

from data import system_faults
from data.images.worker_pool import WorkerDiedError
from data.problems import DataError

DONE, FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


def run(
  argv: Sequence[str],
  values: flags.FlagValues,
  *,
  usage: str,
  check: Callable[[flags.FlagValues], None],
  work: Callable[[flags.FlagValues], str],
  name: str,
  ends: str,
  failures: tuple[type[Exception], ...] = (),
) -> int:
  """Runs a command.

  Args:
    argv: program name and flags.
    values: its own flags, `help` among them.
    usage: what --help begins with.
    check: raises `flags.Error` where flags are wrong; may change them.
    work: does what is asked for; returns what to print.
    name: of the work, for a sentence: 'The build'.
    ends: what a failure leaves, for a sentence: 'nothing was written'.
    failures: further exceptions that are told in a line.

  Returns:
    The exit status: 0 done, 1 a failure, 2 bad use or bad input, 130 and 143
    stopped by Ctrl-C and SIGTERM.
  """
  try:
    rest = values(list(argv))[1:]
    if rest:
      raise flags.Error(
        "Expected flags only (a path with spaces in quotes). Received: "
        f"{' '.join(rest)!r}."
      )
    if not values.help:
      check(values)
  except flags.Error as error:
    print(f"{error}\nSee --help.", file=sys.stderr)
    return BAD_INPUT
  if values.help:
    print(f"{usage}\n{values.get_help()}")
    return DONE
  # TensorFlow's start-up messages are of no use here.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  try:
    told = work(values)
  except DataError as error:
    print(error, file=sys.stderr)
    return BAD_INPUT
  except (OSError, WorkerDiedError, *failures) as error:
    reason = str(error)
    if isinstance(error, OSError):
      reason = system_faults.reason(error)
    elif isinstance(error, WorkerDiedError):
      reason += " Try fewer --workers."
    print(f"{name} failed, {ends}. {reason}", file=sys.stderr)
    return FAILED
  except (KeyboardInterrupt, SystemExit) as stop:
    print(f"Stopped, {ends}.", file=sys.stderr)
    return stop.code if isinstance(stop, SystemExit) else INTERRUPTED
  except Exception:
    traceback.print_exc()
    print(
      "This is a fault of the program, not of your command. Please report it "
      "with the lines above and the command, less what tells a patient. "
      f"{ends.capitalize()}.",
      file=sys.stderr,
    )
    return FAILED
  print(told)
  return DONE


def main(command: Callable[[Sequence[str]], int]) -> None:
  """Runs a command as the program; SIGTERM ends it through its clean-up."""
  signal.signal(signal.SIGTERM, _terminate)
  sys.exit(command(sys.argv))


def _terminate(signum, frame):
  del signum, frame
  raise SystemExit(TERMINATED)
