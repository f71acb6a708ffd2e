r"""Which arm's frozen features are best, over many draws of few labels?

  python benchmarks/linear_draws.py --study=FILE --data_dir=RECORDS \
      --study_dir=OUT [--draws=50] [--fraction=0.1]

FILE is a study with folds of multi-class data, and OUT its folder, where the
pretraining is done. In each draw a fraction of the training patients, of each
class, have labels: a logistic regression on standardised features h is fitted
to their images, with the L2 penalty of the least cross-entropy on the
validation fold, and scores the test fold. Draws are the same for all arms.
Prints scores over all folds, as a study's, and paired differences to the
study's baseline: means over draws and seeds, with 95% intervals over patients.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import sys
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

PENALTIES = (0.001, 0.01, 0.1, 1.0)  # scikit-learn's C.


def read_split(data_dir, split):
  """Returns encoded images, patients, rows and labels (n,) of a split."""
  import tensorflow as tf

  from data.records import bag_records, dataset_json

  paths = [str(p) for p in dataset_json.shard_paths(data_dir, split)]
  columns = collections.defaultdict(list)
  for record in tf.data.TFRecordDataset(paths):
    bag = bag_records.parse_bag(record, None)
    count = len(bag["row"])
    columns["patient"] += [bag["patient_id"].numpy().decode()] * count
    for name in ("image", "row", "label"):
      columns[name] += list(bag[name].numpy())
  image = columns.pop("image")
  return {"image": image, **{k: np.array(v) for k, v in columns.items()}}


def joined(parts):
  """Returns the columns of several splits, one after the other."""
  return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def labelled(table, fraction, draw):
  """Returns which images (n,) of training patients have labels in a draw."""
  names, first = np.unique(table["patient"], return_index=True)
  split = StratifiedShuffleSplit(1, train_size=fraction, random_state=draw)
  chosen, _ = next(split.split(names, table["label"][first]))
  return np.isin(table["patient"], names[chosen])


def fitted(train, validation):
  """Returns the regression whose penalty is best on validation."""
  found = []
  for penalty in PENALTIES:
    model = make_pipeline(
      StandardScaler(), LogisticRegression(C=penalty, max_iter=300)
    )
    model.fit(train["h"], train["label"])
    chances = model.predict_proba(validation["h"])
    found.append((log_loss(validation["label"], chances), model))
  return min(found, key=lambda pair: pair[0])[1]


def main():
  """Embeds, fits and prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  for name in ("study", "data_dir", "study_dir"):
    parser.add_argument(f"--{name}", required=True)
  parser.add_argument("--draws", type=int, default=50)
  parser.add_argument("--fraction", type=float, default=0.1)
  given = parser.parse_args()
  import tf_micle
  from data import file_views
  from data.records import dataset_json
  from flags import study as study_file
  from tf_micle.evaluation.predictions import Items
  from tf_micle.runs import folder as run_folder
  from tf_micle.study import design, jobs, results

  warnings.simplefilter("ignore", ConvergenceWarning)
  description = dataset_json.load(given.data_dir)
  names = tuple(description.class_names)
  study = design.of(
    study_file.read(
      given.study,
      data_dir=given.data_dir,
      describe=dataset_json.load,
      runs=run_folder,
    )
  )
  splits = {fold: read_split(given.data_dir, fold) for fold in study.folds}
  runs = {(c.arm, c.seed, c.fold): c.pretraining for c in jobs.plan(study)[1]}
  parts, views = collections.defaultdict(list), {}
  for (arm, seed, fold), pretraining in runs.items():
    if not pretraining:
      continue
    folder = os.path.join(given.study_dir, pretraining[-1])
    loaded = tf_micle.load(folder, file_views.of_run)
    if not views:  # All runs of a study have one size of image.
      for name, one in splits.items():
        views[name] = np.stack([loaded.preprocess(i) for i in one.pop("image")])
    embedded = {
      name: {**one, "h": loaded.embed(views[name])}
      for name, one in splits.items()
    }
    trained_on = loaded.flags["train_split"].split("+")
    train = joined([embedded[name] for name in trained_on])
    validation, test = embedded[loaded.flags["eval_split"]], embedded[fold]
    for draw in range(given.draws):
      own = labelled(train, given.fraction, draw)
      model = fitted({k: v[own] for k, v in train.items()}, validation)
      items = Items(
        task="multi_class",
        class_names=names,
        unit="image",
        patient_id=test["patient"],
        bag_id=test["patient"],
        row=test["row"],
        labels=test["label"],
      )
      chances = model.predict_proba(test["h"])
      parts[arm, seed, draw].append(items.scored(chances))
    print(f"{arm}, seed {seed}, fold {fold}: done", flush=True)
  scored = {}
  for arm in dict.fromkeys(key[0] for key in parts):
    own = {k[1:]: v for k, v in parts.items() if k[0] == arm}
    scored[arm] = results.scored(own)
  print("| arm | " + " | ".join(f"{m}, {s}" for s, m in results.SCORES) + " |")
  print("|---|" + "---|" * len(results.SCORES))
  for arm, one in scored.items():
    row = [results.summary(one, score) for score in results.SCORES]
    print(f"| {arm} | " + " | ".join(map(told, row)) + " |")
  for arm, one in scored.items():
    if arm != study.baseline:
      base = scored[study.baseline]
      row = [results.difference(one, base, score) for score in results.SCORES]
      print(
        f"| {arm} - {study.baseline} | " + " | ".join(map(told, row)) + " |"
      )


def told(one):
  """Returns a score with its interval."""
  return f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


if __name__ == "__main__":
  main()
