"""A benchmark's cases in processes of their own, for the memory of each."""

from __future__ import annotations

import json
import subprocess
import sys


def measured(*case):
  """Returns what the running script prints of a case, in a new process.

  The script gets the case as its one argument, JSON, and prints JSON last.
  """
  done = subprocess.run(
    [sys.executable, sys.argv[0], json.dumps(case)],
    check=True,
    capture_output=True,
    text=True,
  )
  return json.loads(done.stdout.splitlines()[-1])
