r"""How often an image's nearest neighbour comes from the same patient.

  python benchmarks/lesion_neighbours.py --data_dir=RECORDS --manifest=M.csv \
      --pair_column=pair_id --runs=RANDOM,SIMCLR,MICLE

Embeds the images of patients that were not trained on with the encoder of each
run (features h, unit length) and looks up each one's nearest neighbour among
the others. Images that share a cell of `--pair_column` with it, which may
overlap with it, are left out. A run of --train_steps=0 is the random-weight
encoder. Prints a line a run, with the standard error over patients.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import pathlib
import sys

import numpy as np
from absl import app, flags

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

_DATA_DIR = flags.DEFINE_string(
  "data_dir", None, "Bag TFRecords.", required=True
)
_SPLITS = flags.DEFINE_list(
  "splits", ["validation", "test"], "Splits to embed."
)
_MANIFEST = flags.DEFINE_string(
  "manifest", None, "What the records were built from.", required=True
)
_PAIR_COLUMN = flags.DEFINE_string("pair_column", "pair_id", "Column of pairs.")
_RUNS = flags.DEFINE_list("runs", None, "Runs' folders.", required=True)


def images(data_dir, splits):
  """Returns encoded images, their patients' keys and their manifest rows."""
  import tensorflow as tf

  from data.records import bag_records, dataset_json

  encoded, patients, rows = [], [], []
  for split in splits:
    paths = [str(p) for p in dataset_json.shard_paths(data_dir, split)]
    for record in tf.data.TFRecordDataset(paths):
      bag = bag_records.parse_bag(record, None)
      encoded += list(bag["image"].numpy())
      rows += list(bag["row"].numpy())
      patients += [int(bag["patient_key"])] * len(bag["row"])
  return encoded, np.array(patients), np.array(rows)


def embed(run_dir, encoded):
  """Returns unit-length features (n, f) of a run's encoder."""
  import tensorflow as tf

  from data.images.decode import decode
  from data.views import geometry
  from tf_micle.contrastive.build import build_contrastive_model
  from tf_micle.options import PretrainOptions
  from tf_micle.runs import initial_weights

  values = json.loads((pathlib.Path(run_dir) / "flags.json").read_text())

  def pick(options_class):
    names = [field.name for field in dataclasses.fields(options_class)]
    known = {name: values[name] for name in names if name in values}
    return options_class(**known)

  _, parts = build_contrastive_model(
    pick(PretrainOptions), steps_per_epoch=1, train_steps=1
  )
  initial_weights.initialise(run_dir, {"encoder": parts["encoder"]})
  views = pick(geometry.ViewOptions)
  data = tf.data.Dataset.from_tensor_slices(encoded)
  data = data.map(lambda e: geometry.center_view(decode(e), views))
  features = [
    parts["encoder"](tf.cast(batch, tf.float32) / 255)["final_avg_pool"].numpy()
    for batch in data.batch(256)
  ]
  features = np.concatenate(features)
  return features / np.linalg.norm(features, axis=1, keepdims=True)


def same_patient(features, patients, pairs):
  """Returns for each image whether its nearest neighbour is its patient's."""
  similarity = features @ features.T
  similarity[pairs[:, None] == pairs[None]] = -np.inf  # Itself too.
  return patients[similarity.argmax(axis=1)] == patients


def main(argv):
  """Prints the share of each run."""
  del argv
  encoded, patients, rows = images(_DATA_DIR.value, _SPLITS.value)
  with open(_MANIFEST.value, newline="", encoding="utf-8-sig") as file:
    # Row 1 of the manifest is its header.
    cells = [row[_PAIR_COLUMN.value] for row in csv.DictReader(file)]
  pairs = np.array([cells[row - 2] for row in rows])
  others = (patients[:, None] == patients[None]) & (
    pairs[:, None] != pairs[None]
  )
  candidates = (pairs[:, None] != pairs[None]).sum(1)
  chance = np.mean(others.sum(1) / candidates)
  print(f"{len(patients)} images, {len(set(patients))} patients")
  print(f"chance {chance:.3f}")
  for run_dir in _RUNS.value:
    hits = same_patient(embed(run_dir, encoded), patients, pairs)
    shares = [hits[patients == p].mean() for p in np.unique(patients)]
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    print(f"{run_dir}: {hits.mean():.3f} +- {error:.3f}")


if __name__ == "__main__":
  app.run(main)
