"""All ratios of the other scripts, small, beside those of the repository.

  python benchmarks/regressions.py [--write]

Runs each script of `SCRIPTS` with small sizes and compares every ratio that it
prints ('1.23 x') with that in ratios.json; --write puts them there instead. A
ratio that is another by more than `FACTOR` is marked, and the exit status is 1.
Ratios depend on the machine a little, and on what else it does: write them on
yours before you change something.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

from benchmarks import small

HERE = pathlib.Path(__file__).parent
RATIOS = HERE / "ratios.json"
SCRIPTS = [
  *("first_step", "input_rate", "step_cost", "micro_batches"),
  *("evaluation_rate", "image_formats", "bootstrap_cost"),
  *("blocked_softmax", "serving_cost"),
]
FACTOR = 1.3


def ratios(script):
  """Returns the ratios that a script prints, by what its lines begin with."""
  done = subprocess.run(
    [sys.executable, HERE / f"{script}.py"],
    env={**os.environ, small.VARIABLE: "1"},
    check=True,
    capture_output=True,
    text=True,
  )
  found = {}
  for line in done.stdout.splitlines():
    for ratio in re.findall(r"(\d+\.\d+) x\b", line):
      name = f"{script}: {line.split(':')[0]}"
      while name in found:
        name += ", next"
      found[name] = float(ratio)
  return found


def main():
  """Prints a line a ratio; returns the exit status."""
  expected = json.loads(RATIOS.read_text()) if RATIOS.exists() else {}
  every, others = {}, 0
  for script in SCRIPTS:
    start = time.monotonic()
    try:
      found = ratios(script)
    except subprocess.CalledProcessError as error:
      print(f"{script} failed:\n{error.stderr[-2000:]}", flush=True)
      others += 1
      continue
    print(f"{script}: {time.monotonic() - start:.0f} s")
    every |= found
    for name, ratio in found.items():
      before = expected.get(name)
      is_other = before and not 1 / FACTOR <= ratio / before <= FACTOR
      others += bool(is_other)
      mark = "  <-- another" * bool(is_other)
      print(f"  {ratio:6.2f} x, was {before}: {name}{mark}", flush=True)
  if "--write" in sys.argv[1:]:
    RATIOS.write_text(json.dumps(every, indent=2) + "\n")
    return 0
  return int(others > 0)


if __name__ == "__main__":
  sys.exit(main())
