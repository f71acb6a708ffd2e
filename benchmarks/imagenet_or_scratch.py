r"""Fine-tuning from ImageNet weights against from scratch, all and few labels.

  python benchmarks/imagenet_or_scratch.py --images=DIR --weights=FILE

DIR is the unpacked brain tumour set of Cheng et al. at 160 pixels (its
manifest.csv has the authors' folds: 1 to 3 train, 5 picks the checkpoint, 4 is
tested), FILE the weights of tf.keras.applications.ResNet50. Both arms are the
network of the weights at 112 pixels, with the same steps, batches of 16, views,
and learning rates, of which the validation fold picks one. Fold 4 is looked at
once, by the picked runs. Prints the table of docs/results.md. Everything is
kept in benchmarks/out/; stopped and started again, it resumes.
"""

from __future__ import annotations

import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
from absl import app, flags

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
OUT = ROOT / "benchmarks/out/imagenet_or_scratch"

_IMAGES = flags.DEFINE_string("images", None, "Folder with manifest.csv.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Keras's ResNet50 weights.")
_STEPS = flags.DEFINE_integer("steps", 300, "Steps of each run.")
flags.mark_flags_as_required(["images", "weights"])

SPLITS = {"1": "train", "2": "train", "3": "train", "4": "test"}
FRACTIONS = ("1", "0.1")
ARMS = ("ImageNet", "scratch")
RATES = ("0.01", "0.1")
SCORES = ("top1", "balanced_accuracy", "mean_auroc")


def command(*arguments):
  """Runs a command of the project; it resumes where it was stopped."""
  program = [sys.executable, *map(str, arguments)]
  print(" ".join(program[1:]), flush=True)
  subprocess.run(program, cwd=ROOT, check=True)


def records():
  """Builds the records once, split by fold; returns their folder."""
  folder, manifest = OUT / "records", OUT / "manifest.csv"
  if (folder / "dataset.json").exists():
    return folder
  OUT.mkdir(parents=True, exist_ok=True)
  source = pathlib.Path(_IMAGES.value) / "manifest.csv"
  with open(source, newline="") as file, open(manifest, "w") as target:
    rows = list(csv.DictReader(file))
    writer = csv.DictWriter(target, [*rows[0], "split"])
    writer.writeheader()
    for row in rows:
      writer.writerow({**row, "split": SPLITS.get(row["fold"], "validation")})
  command(
    *("-m", "data.build_tfrecords", f"--manifest={manifest}"),
    *(f"--image_root={_IMAGES.value}", f"--output_dir={folder}"),
    *("--label_column=label", "--split_column=split"),
  )
  return folder


def tuned(arm, fraction):
  """Fine-tunes an arm at each rate; returns the picked run's folder."""
  folder = OUT / f"{arm.lower()}-{fraction}"
  sweep = OUT / "rates.sweep"
  sweep.write_text(f"--learning_rate={','.join(RATES)}\n")
  start = ["--resnet_depth=50", "--resnet_variant=keras"]
  if arm == "ImageNet":
    start = [f"--checkpoint={_WEIGHTS.value}"]
  found = folder / "sweep.json"
  if not found.exists() or not json.loads(found.read_text())["best"]:
    command(
      *("run.py", "--mode=finetune", f"--data_dir={records()}", *start),
      *(f"--model_dir={folder}", f"--sweep={sweep}", "--image_size=112"),
      *("--train_batch_size=16", f"--train_steps={_STEPS.value}"),
      *(f"--label_fraction={fraction}", "--log_steps=20"),
      *(f"--checkpoint_steps={_STEPS.value // 4}", "--keep_checkpoint_max=1"),
    )
  return pathlib.Path(json.loads(found.read_text())["best"])


def predictions(folder):
  """Evaluates a run once on the test split; returns its predictions."""
  from tf_micle.evaluation import evaluate as evaluation

  if not (folder / "eval/test/metrics.json").exists():
    command(
      *("run.py", "--mode=eval", "--eval_split=test", f"--model_dir={folder}")
    )
  return evaluation.load(folder / "eval/test")[1]


def scored(found):
  """Returns each score of predictions, and its bootstrap over patients."""
  from tf_micle.evaluation import bootstrap, metrics

  def measured(weights):
    values = metrics.measure(found.labels, found.probabilities, weights=weights)
    return np.array([values[name] for name in SCORES])

  # The same resamples for every run, so a difference is paired.
  resampled = bootstrap.replicates(
    lambda weights: dict(zip(SCORES, measured(weights))), found.patient_id
  )
  return measured(None), np.stack([resampled[name] for name in SCORES])


def cells(values, resampled):
  """Formats scores and their intervals."""
  from tf_micle.evaluation import bootstrap

  for value, draws in zip(values, resampled):
    low, high = bootstrap.interval(draws)
    yield f"{value:.3f} ({low:.3f} to {high:.3f})"


def main(argv):
  """Runs what is missing, and prints the table."""
  del argv
  records()
  lines = []
  for fraction in FRACTIONS:
    picked = [tuned(arm, fraction) for arm in ARMS]
    one, other = (scored(predictions(folder)) for folder in picked)
    difference = [a - b for a, b in zip(one, other)]
    names = [folder.name.partition("=")[2] for folder in picked]
    for row in ((ARMS[0], names[0], one), (ARMS[1], names[1], other)):
      lines.append((fraction, *row[:2], *cells(*row[2])))
    lines.append((fraction, " - ".join(ARMS), "", *cells(*difference)))
  print("| labels | start | rate | " + " | ".join(SCORES) + " |")
  print("|---|" + "---|" * (len(SCORES) + 2))
  for fraction, *row in lines:
    print("| " + " | ".join([f"{float(fraction):.0%}", *row]) + " |")


if __name__ == "__main__":
  app.run(main)
