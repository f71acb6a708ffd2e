"""What health checks cost: their share of a pretraining run of the demo.

  python benchmarks/health_cost.py

Trains on the demo at its default settings, but for a few steps, and prints a
table: seconds of the check at step 0 (which traces the network and decodes the
images), of one at a checkpoint, and of the steps between checkpoints by the
rate of the last ones; and the checks' share of the demo's whole run.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import run
from tf_micle.health.checks import HealthChecks
from tf_micle.runs import run_log

STEPS, BETWEEN, WHOLE_RUN, VIEWS = 60, 300, 1200, 128


def timed(name, seconds):
  """Makes a method of `HealthChecks` note how long a call of it takes."""
  method = getattr(HealthChecks, name)

  def call(*args):
    start = time.perf_counter()
    found = method(*args)
    seconds[name] = time.perf_counter() - start
    return found

  setattr(HealthChecks, name, call)


def main():
  """Prints the table."""
  seconds = {}
  timed("begin", seconds)
  timed("check", seconds)
  with tempfile.TemporaryDirectory() as folder:
    given = [f"--model_dir={folder}", f"--train_steps={STEPS}"]
    command = ["run.py", "--use_micle", "--log_steps=30", *given]
    if run.main(run.parse(command)) != run.DONE:
      sys.exit("The run failed; see above.")
    rate = run_log.read(folder)[-1]["images_per_second"]
  begin, check = seconds["begin"], seconds["check"]
  steps, times = BETWEEN * VIEWS / rate, WHOLE_RUN / BETWEEN
  whole = (begin + times * check) / (begin + times * (check + steps))
  print(f"check at step 0         {begin:7.2f} s")
  print(f"check at a checkpoint   {check:7.2f} s")
  print(f"{BETWEEN} steps before it     {steps:7.2f} s")
  print(f"a check's share         {check / (check + steps):7.2%}")
  print(f"share of {WHOLE_RUN} steps     {whole:7.2%}")


if __name__ == "__main__":
  main()
