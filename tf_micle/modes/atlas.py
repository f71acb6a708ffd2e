"""Atlas of what a run has learnt of splits: --mode=predict --atlas."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
import zlib

import numpy as np
import tensorflow as tf
import tqdm
from absl import logging

from tf_micle.loading.opened import open_run
from tf_micle.prediction import atlas, placing
from tf_micle.system.plurals import counted

# t-SNE of fewer says nothing; a page of more than these is past 20 MB.
FEWEST, MOST = 8, 5000
_NEIGHBOURS = 8
_FINDINGS = {1: "yes", 0: "no", -1: "uncertain"}


@dataclasses.dataclass(frozen=True)
class AtlasMode:
  """What to show, and where to; fields are named as their flags."""

  model_dir: str
  checkpoint: str | None
  eval_split: str
  atlas: str
  seed: int


# As in `training.session.train`.
@tf.autograph.experimental.do_not_convert
def run(mode, strategy, data, problems):
  """Writes the page.

  Args:
    mode: `AtlasMode`.
    strategy: `tf.distribute.Strategy`.
    data: `data.access.DataAccess`.
    problems: `flags.problems.Problems`; those that are known already.

  Returns:
    What is in the page, in a line.
  """
  opened = mode.model_dir and problems.collect(open_run, mode.model_dir)
  names = dict.fromkeys(mode.eval_split.split("+"))
  sources = {name: problems.collect(data.open, name) for name in names}
  total = sum(source.num_images for source in sources.values() if source)
  if all(sources.values()) and total < FEWEST:
    problems.add(
      f"Expected at least {FEWEST} images for --atlas. Received: {total} in "
      f"--eval_split={mode.eval_split}"
    )
  problems.stop_if_any()
  with strategy.scope():
    network = problems.collect(opened.network, mode.checkpoint)
    problems.stop_if_any()
    encoder = network.of_views()
  splits = {name: data.images(source) for name, source in sources.items()}
  with _timed(f"Reading what is known of {counted(total, 'image')}"):
    taken = sample({name: one.table.row for name, one in splits.items()}, MOST)
  columns, patients = _facts(splits, taken)
  features, thumbnails = _embedded(encoder, splits, taken)
  placing.check(features)
  with _timed("t-SNE over principal components"):
    places = placing.plane(features, mode.seed)
  with _timed("Nearest images of other patients"):
    near, cosines = placing.nearest(features, patients, _NEIGHBOURS)
  shown, notes = counted(len(features), "image"), []
  if len(features) < total:
    notes.append(
      f"Shown are {shown} of {total:,}, chosen by a hash of split and row: the "
      "same ones every time."
    )
  if not all(source.patients_known for source in sources.values()):
    notes.append("Patients are not known: nearest may be the same patient's.")
  for note in notes:
    logging.warning("%s", note)
  atlas.write(
    mode.atlas,
    title=f"{', '.join(sources)}: an atlas",
    lead=f"{shown} of {counted(len(set(patients)), 'patient')}, as "
    f"{os.path.basename(os.path.abspath(mode.model_dir))} sees them "
    f"({os.path.basename(network.checkpoint)}).",
    notes=notes,
    columns=columns,
    places=places,
    nearest=near,
    cosines=cosines,
    thumbnails=thumbnails,
  )
  return f"{shown} in {mode.atlas}"


def sample(rows, most):
  """Chooses images: those whose split and row have the smallest hashes.

  Args:
    rows: dict of split to int64 (n,), rows of the manifest.
    most: images, at most.

  Returns:
    dict of split to the sorted places of its images.
  """
  drawn = sorted(
    (zlib.crc32(f"{split} {row}".encode()), split, place)
    for split, own in rows.items()
    for place, row in enumerate(own)
  )[:most]
  return {s: sorted(place for _, of, place in drawn if of == s) for s in rows}


def _embedded(encoder, splits, taken):
  """Returns features float32 (n, f), and n thumbnails."""
  total = sum(map(len, taken.values()))
  side = 64 if total > 1500 else 112
  features, thumbnails = [], []
  bar = tqdm.tqdm(
    total=total,
    desc="Embedding",
    unit=" images",
    mininterval=0.5 if sys.stderr.isatty() else 15,
  )
  for split, images in splits.items():
    views = images.each_view(taken[split])
    while batch := [
      view for _, (_, view) in zip(range(images.batch_size), views)
    ]:
      features.append(encoder.predict_on_batch(np.stack(batch)))
      thumbnails += [atlas.thumbnail(view, side) for view in batch]
      bar.update(len(batch))
  bar.close()
  return np.concatenate(features), thumbnails


def _facts(splits, taken):
  """Returns columns, name to (n,) str, and the patients (n,) of the images."""
  parts = []
  for split, images in splits.items():
    table, source = images.table.where(taken[split]), images.source
    part = dict(_labels(table.labels, source))
    own = {"split": np.repeat(split, len(table.row))}
    own |= {"patient": table.patient_id, "row": table.row.astype(str)}
    for name, values in {**table.metadata, **own}.items():
      part[name if name not in part else f"{name} of the image"] = values
    parts.append((part, table.patient_id))
  columns = {name: np.concatenate([p[name] for p, _ in parts]) for name in part}
  return columns, np.concatenate([patients for _, patients in parts])


def _labels(labels, source):
  """Yields columns of labels: the class, or each finding."""
  if source.task == "multi_class":
    # -1, not known, is the last.
    yield "label", np.array([*source.class_names, ""])[labels]
  elif source.task == "multi_label":
    for name, values in zip(source.class_names, labels.T):
      yield name, np.array([_FINDINGS.get(float(v), "") for v in values], str)


@contextlib.contextmanager
def _timed(stage):
  """Logs how long a stage took."""
  start = time.monotonic()
  yield
  logging.info("%s: %.1f s", stage, time.monotonic() - start)
