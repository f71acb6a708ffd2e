r"""Fine-tunes from MICLe, from SimCLR and from scratch on few labels.

  python benchmarks/label_efficiency.py --data=demo
  python benchmarks/label_efficiency.py --data=digits

For each seed: pretrains with and without --use_micle, fine-tunes every arm on
--label_fraction of the patients by the same sweep (picked on the validation
split), and evaluates the picked model on test splits that nothing else looked
at. Prints the tables of docs/results.md. Everything is kept in
benchmarks/out/; the same command resumes it.

A table's value is the mean over seeds; its interval is over patients, drawn
anew for all seeds and arms together (1,000 times), so differences are paired.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from absl import app, flags

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, os.fspath(ROOT))

_DATA = flags.DEFINE_enum("data", "demo", ["demo", "digits"], "Which data.")
_SEEDS = flags.DEFINE_list(
  "seeds", ["0", "1", "2"], "Each arm is run with each."
)
_FRACTION = flags.DEFINE_string(
  "label_fraction", "0.1", "Share of the training patients with labels."
)
_ONLY_PRETRAIN = flags.DEFINE_bool(
  "only_pretrain", False, "Stop when pretraining is done."
)

ARMS = ("MICLe", "SimCLR", "scratch")
SPLITS = {"demo": ("test", "external"), "digits": ("test",)}
SCORES = ("top1", "mean_auroc")


def command(*arguments):
  """Runs `run.py`; it resumes where it was stopped."""
  program = [sys.executable, "run.py", *map(str, arguments)]
  print(" ".join(program[1:]), flush=True)
  subprocess.run(program, cwd=ROOT, check=True)


def data_flags(data, stage):
  """Returns what the data set needs; the demo's flags come by themselves."""
  if data == "demo":
    return []
  from benchmarks import digits_data

  records = digits_data.digits_records(ROOT / "benchmarks/out/digits/records")
  name = {"pretrain": "digits", "finetune": "digits_finetune"}[stage]
  return [f"--flagfile=benchmarks/{name}.flags", f"--data_dir={records}"]


def pretrained(data, arm, seed):
  """Pretrains an arm once; returns the run's folder, None from scratch."""
  if arm == "scratch":
    return None
  folder = ROOT / f"benchmarks/out/{data}/pretrain-{arm.lower()}-{seed}"
  if not (folder / "done").exists():
    command(
      "--mode=pretrain",
      *data_flags(data, "pretrain"),
      "--use_micle" if arm == "MICLe" else "--nouse_micle",
      f"--seed={seed}",
      f"--model_dir={folder}",
    )
    (folder / "done").touch()
  return folder


def tuned(data, arm, seed):
  """Fine-tunes an arm by its sweep; returns the picked run's folder."""
  start = pretrained(data, arm, seed)
  name = f"tuned-{_FRACTION.value}-{arm.lower()}-{seed}"
  folder = ROOT / "benchmarks/out" / data / name
  summary = folder / "sweep.json"
  if not summary.exists() or not json.loads(summary.read_text())["best"]:
    sweep = "scratch" if start is None else "pretrained"
    command(
      "--mode=finetune",
      *data_flags(data, "finetune"),
      *([] if start is None else [f"--checkpoint={start}"]),
      f"--sweep=benchmarks/{data}_{sweep}.sweep",
      f"--label_fraction={_FRACTION.value}",
      f"--seed={seed}",
      f"--model_dir={folder}",
    )
  return pathlib.Path(json.loads(summary.read_text())["best"])


def predictions(folder, split):
  """Evaluates a run once; returns its predictions."""
  from tf_micle.evaluation import saved

  if not (folder / "eval" / split / "metrics.json").exists():
    command("--mode=eval", f"--model_dir={folder}", f"--eval_split={split}")
  return saved.load(folder / "eval" / split)[1]


def replicates(found):
  """Returns point values and bootstrap replicates of one run's scores."""
  from tf_micle.evaluation import bootstrap, metrics

  def measured(weights):
    values = metrics.measure(found.labels, found.probabilities, weights=weights)
    return {name: values[name] for name in SCORES}

  resampled = bootstrap.replicates(measured, found.patient_id)
  return {name: float(v) for name, v in measured(None).items()}, resampled


def cell(values, resampled):
  """Formats the mean over seeds, its interval, and the seeds' range."""
  from tf_micle.evaluation import bootstrap

  low, high = bootstrap.interval(np.mean(resampled, axis=0))
  spread = f"{min(values):.3f} to {max(values):.3f}"
  return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f}) | {spread}"


def table(data):
  """Prints the table of a data set."""
  runs = {
    (arm, seed): tuned(data, arm, seed) for seed in _SEEDS.value for arm in ARMS
  }
  for split in SPLITS[data]:
    scored = {
      key: replicates(predictions(folder, split))
      for key, folder in runs.items()
    }
    print(f"\n{data}, {split}, {_FRACTION.value} of the labels")
    print("| score | arm | mean (95% interval) | seeds |\n|---|---|---|---|")
    for score in SCORES:
      parts = {
        arm: (
          [scored[arm, seed][0][score] for seed in _SEEDS.value],
          [scored[arm, seed][1][score] for seed in _SEEDS.value],
        )
        for arm in ARMS
      }
      for first in ARMS[1:]:
        parts[f"MICLe - {first}"] = tuple(
          np.subtract(ours, theirs)
          for ours, theirs in zip(parts["MICLe"], parts[first])
        )
      for name, part in parts.items():
        print(f"| {score} | {name} | {cell(*part)} |")


def main(argv):
  """Runs what is missing, and prints the tables."""
  del argv
  for seed in _SEEDS.value:
    for arm in ARMS:
      pretrained(_DATA.value, arm, seed)
  if not _ONLY_PRETRAIN.value:
    table(_DATA.value)


if __name__ == "__main__":
  app.run(main)
