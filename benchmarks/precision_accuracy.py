"""Whether bfloat16 learns what float32 does: the demo, over three seeds.

  python benchmarks/precision_accuracy.py

Pretrains the demo by MICLe for STEPS steps in each precision and prints the
online linear probe's accuracy on the validation split. Runs lie in
`benchmarks/out/precision`; the same command resumes them. A CPU without units
for bfloat16 takes several times as long for it.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "out" / "precision"
PRECISIONS, SEEDS, STEPS = ("float32", "bfloat16"), (0, 1, 2), 240


def pretrain(precision, seed):
  """Returns the last line of a run's log; trains it where it is not whole."""
  folder = OUT / f"{precision}-{seed}"
  command = [
    *(sys.executable, "run.py", "--mode=pretrain", "--use_micle"),
    f"--train_steps={STEPS}",
    f"--checkpoint_steps={STEPS // 3}",
    f"--precision={precision}",
    f"--seed={seed}",
    f"--model_dir={folder}",
  ]
  log = OUT / f"{precision}-{seed}.log"
  with open(log, "a", encoding="utf-8") as file:
    subprocess.run(command, cwd=ROOT, check=True, stdout=file, stderr=file)
  lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
  return json.loads(lines[-1])


def main():
  """Prints a line a run, and a mean a precision."""
  os.makedirs(OUT, exist_ok=True)
  for precision in PRECISIONS:
    found = []
    for seed in SEEDS:
      row = pretrain(precision, seed)
      found.append(row["probe_accuracy"])
      print(
        f"{precision}, seed {seed}: probe {row['probe_accuracy']:.4f}, "
        f"contrastive loss {row['contrastive_loss']:.3f}",
        flush=True,
      )
    print(
      f"{precision}: probe {statistics.mean(found):.4f} +- "
      f"{statistics.stdev(found):.4f} (standard deviation over seeds)",
      flush=True,
    )


if __name__ == "__main__":
  main()
