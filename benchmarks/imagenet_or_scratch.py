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

from absl import app, flags

ROOT = pathlib.Path(__file__).parent.parent
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


def scores(folder):
  """Evaluates a run once on the test split; returns its metrics.json."""
  found = folder / "eval/test/metrics.json"
  if not found.exists():
    command(
      *("run.py", "--mode=eval", "--eval_split=test", f"--model_dir={folder}")
    )
  return json.loads(found.read_text())


def cell(score):
  """Formats a score and its interval over patients."""
  return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"


def main(argv):
  """Runs what is missing, and prints the table."""
  del argv
  records()
  lines = []
  for fraction in FRACTIONS:
    for arm in ARMS:
      picked = tuned(arm, fraction)
      found = scores(picked)["image"]
      cells = [cell(found[name]) for name in SCORES]
      share = f"{float(fraction):.0%}"
      lines.append(" | ".join(["", share, arm, picked.name, *cells, ""]))
  print("| labels | start | picked | " + " | ".join(SCORES) + " |")
  print("|---|" + "---|" * (len(SCORES) + 2))
  print("\n".join(line.strip() for line in lines))


if __name__ == "__main__":
  app.run(main)
