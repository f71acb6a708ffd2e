"""How long a command takes to answer, and a run to its first steps.

  python benchmarks/first_step.py [ANOTHER_CHECKOUT]

Seconds of the processor, of all threads, as other work on the machine changes
them least: of --help; of a command that is refused, after it has checked all
else too; of two steps of pretraining and of fine-tuning on the demo's data,
whole commands with checks and checkpoints; and of two steps of ResNet-50 at
224 pixels with 16 pairs a batch. Beside each, what it is of importing
TensorFlow and Keras alone; and for runs, what they log of their first step, in
seconds of the clock. Cases take turns; the median counts.
"""

from __future__ import annotations

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

from benchmarks.small import sized

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = pathlib.Path(*(sys.argv[1:] or [HERE]))
ROUNDS = sized(3, 1)
TENSORFLOW = [sys.executable, "-c", "import tensorflow as tf; tf.keras"]
TWO_STEPS = [sys.executable, "run.py", "--train_steps=2"]
LARGE = [
  *("--resnet_depth=50", "--width_multiplier=1", "--image_size=224"),
  *("--train_batch_size=16", "--precision=float32"),
]
CASES = {
  "importing TensorFlow": TENSORFLOW,
  "run.py --help": [sys.executable, "run.py", "--help"],
  "a command that is refused": [sys.executable, "run.py", "--train_steps=-1"],
  "pretraining, two steps": [*TWO_STEPS, "--use_micle"],
  "fine-tuning, two steps": [*TWO_STEPS, "--mode=finetune"],
  **sized({"ResNet-50, two steps": [*TWO_STEPS, "--use_micle", *LARGE]}, {}),
}


def seconds(command):
  """Returns a command's processor seconds, and what it logs of its start."""
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  with tempfile.TemporaryDirectory() as folder:
    if "--train_steps=2" in command:
      command = [*command, f"--model_dir={folder}/run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  lines = [s for s in done.stderr.splitlines() if "First step after" in s]
  log = lines[0][lines[0].index("First step") :] if lines else ""
  used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  return used, log


def main():
  """Prints a line a case."""
  if not os.path.exists(ROOT / "runs" / "demo-data"):
    seconds(CASES["pretraining, two steps"])  # Makes the demo's data.
  found = {name: [] for name in CASES}
  for _ in range(ROUNDS):
    for name, command in CASES.items():
      found[name].append(seconds(command))
  base = None
  for name, rounds in found.items():
    used = statistics.median(used for used, _ in rounds)
    base = base or used
    print(f"{name}: {used:.2f} s, {used / base:.2f} x. {rounds[-1][1]}")


if __name__ == "__main__":
  main()
