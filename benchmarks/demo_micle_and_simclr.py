"""Runs the demo with and without --use_micle and prints both side by side.

  python benchmarks/demo_micle_and_simclr.py

About a quarter of an hour on two cores, in float32. Stopped and started again,
it resumes. The table is the README's.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
ARMS = {"MICLe": "--use_micle", "SimCLR": "--nouse_micle"}
COLUMNS = ("step", "contrastive_loss", "contrastive_accuracy", "probe_accuracy")


def rows(arm):
  """Returns an arm's log at its first line and at each checkpoint."""
  log = ROOT / "runs" / f"demo-pretrain-{arm.lower()}" / "metrics.jsonl"
  lines = [json.loads(line) for line in log.read_text().splitlines()]
  lines = [line for line in lines if line["step"]]
  return lines[:1] + [line for line in lines if "probe_accuracy" in line]


def main():
  """Runs both arms, one after the other, then prints the table."""
  for flag in ARMS.values():
    command = [sys.executable, "run.py", "--mode=pretrain", flag]
    command.append("--precision=float32")  # The same on every processor.
    subprocess.run(command, cwd=ROOT, check=True)
  print("| run | " + " | ".join(COLUMNS) + " |")
  print("|---|" + "---|" * len(COLUMNS))
  for arm in ARMS:
    for row in rows(arm):
      cells = [f"{row[name]:.4g}" if name in row else "" for name in COLUMNS]
      print(f"| {arm} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
  main()
