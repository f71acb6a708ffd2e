"""How long a command takes to answer, and a run to its first step.

  python benchmarks/first_step.py

Prints the median time of `run.py --help`, which does not import TensorFlow, and
what two runs on the demo's data say of their start: its own small network, and
ResNet-50 at 224 pixels with 16 pairs a batch.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parent.parent
ROUNDS = 5
RUNS = {
  "the demo": [],
  "ResNet-50, 224 pixels, 16 pairs": [
    *("--resnet_depth=50", "--width_multiplier=1", "--image_size=224"),
    "--train_batch_size=16",
  ],
}


def help_seconds():
  """Seconds that `run.py --help` takes."""
  start = time.perf_counter()
  command = [sys.executable, "run.py", "--help"]
  subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
  return time.perf_counter() - start


def first_step(flags):
  """What a run logs of its first step."""
  with tempfile.TemporaryDirectory() as folder:
    command = [
      *(sys.executable, "run.py", "--mode=pretrain", "--use_micle"),
      *("--train_steps=1", f"--model_dir={folder}/run", *flags),
    ]
    done = subprocess.run(
      command, cwd=ROOT, check=True, capture_output=True, text=True
    )
  lines = done.stderr.splitlines()
  (line,) = [line for line in lines if "First step after" in line]
  return line[line.index("First step") :]


def main():
  """Prints a line a command."""
  if not os.path.exists(ROOT / "runs" / "demo-data"):
    first_step([])  # Makes the demo's data.
  median = statistics.median(help_seconds() for _ in range(ROUNDS))
  print(f"run.py --help: {median:.2f} s", flush=True)
  for name, flags in RUNS.items():
    print(f"{name}: {first_step(flags)}", flush=True)


if __name__ == "__main__":
  main()
