"""Says what a classifier makes of images without labels, as they come in."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys

import numpy as np
import tensorflow as tf
import tqdm
from absl import logging

from tf_micle.loading import tuned_run
from tf_micle.prediction import (
  embeddings_npz,
  parquet,
  partial_files,
  projector,
)
from tf_micle.prediction.rows import RowWriter
from tf_micle.runs import checkpoint
from tf_micle.system import folder_lock, stop_signal
from tf_micle.system.written_whole import copy_whole


@dataclasses.dataclass(frozen=True)
class PredictMode:
  """What to write; fields are named as their flags are."""

  model_dir: str
  checkpoint: str | None
  output: str
  embeddings: str | None
  tensorboard_projector: str | None
  on_bad_image: str


class BadImagesError(ValueError):
  """Images that cannot be decoded, where none may be left out."""


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How a prediction ended.

  Attributes:
    rows: of the output, done.
    rejected: images that were left out.
    stopped: whether a signal stopped it.
  """

  rows: int
  rejected: int
  stopped: bool


def run(mode, options, strategy, images, problems):
  """Predicts.

  Args:
    mode: `PredictMode`.
    options: `options.FinetuneOptions`, the run's.
    strategy: `tf.distribute.Strategy`.
    images: `data.batches.listed_images.ListedImages`, None where it has faults.
    problems: `flags.problems.Problems`; faults that are known already.

  Returns:
    An `Outcome`.

  Raises:
    BadImagesError: an image is damaged, and `on_bad_image` is 'fail'. What is
      done is kept, and the same command goes on there.
  """
  tuned = mode.model_dir and problems.collect(
    tuned_run.TunedRun, mode.model_dir
  )
  if mode.output and mode.output.endswith(".parquet"):
    problems.add(*parquet.fault())
  begun = bool(mode.output) and os.path.isdir(f"{mode.output}.partial")
  if not begun:
    problems.add(*_occupied(mode))
  problems.stop_if_any()
  with strategy.scope():
    restored = problems.collect(tuned.classifier, options, mode.checkpoint)
  problems.stop_if_any()
  model, path = restored
  files = partial_files.PredictionFiles(
    mode.output,
    {
      "images": images.digest,
      "checkpoint": checkpoint.digest(path),
      "outputs": [
        mode.output,
        mode.embeddings and os.path.abspath(mode.embeddings),
        mode.tensorboard_projector
        and os.path.abspath(mode.tensorboard_projector),
      ],
    },
  )
  for note in images.notes:
    logging.warning("%s", note)
  with contextlib.ExitStack() as stack:
    problems.collect(
      stack.enter_context, folder_lock.held(files.folder, flag="--output")
    )
    problems.stop_if_any()
    stopped = False
    if not files.finished(mode.output):
      stopped = _write(mode, options, tuned, model, images, files, problems)
    if not stopped:
      files.remove()
  return Outcome(files.counts["rows"], files.counts["rejected"], stopped)


def _write(mode, options, tuned, model, images, files, problems):
  """Predicts what is left, and puts it in its place; whether it was stopped."""
  skip = mode.on_bad_image == "skip"
  fits = files.fits(may_have_rejected=skip)
  if not fits:
    problems.add(*_occupied(mode))
    problems.stop_if_any()
    if os.path.exists(files.path(partial_files.ROWS)):
      logging.warning(
        "%s was of another manifest, checkpoint or choice of outputs: starting "
        "from the first image.",
        files.folder,
      )
  writer = RowWriter(
    files,
    class_names=tuned.class_names,
    unit=options.unit,
    for_spreadsheets=mode.output.endswith(".csv"),
    keep_features=bool(mode.embeddings),
    keep_thumbnails=bool(mode.tensorboard_projector),
  )
  files.open(headers=writer.headers(), fits=fits)
  try:
    with stop_signal.StopSignal() as stop:
      stopped = _predict(model, images, files, writer, skip, stop)
  finally:
    files.close()
  if not stopped:
    _place(mode, files, tuned.class_names, options.unit)
  return stopped


def _predict(model, images, files, writer, skip, stop):
  """Goes on to the end; returns whether a signal came first."""
  items = images.items
  done = files.counts["items"]
  first = items[done].first if done < len(items) else images.num_images
  waiting = {}  # position to (features, view) of items not yet complete
  with _progress_bar(images.num_images, first) as bar:
    for positions, views in _until(stop, images.batches(first)):
      features = model.predict_on_batch({"views": views[:, None]})
      waiting.update(zip(positions.tolist(), zip(features, views)))
      seen = int(positions[-1]) + 1
      done = _finish(model, images, done, seen, waiting, writer, skip)
      bar.update(seen - bar.n)
    if stop.requested:
      return done < len(items)
    # Those at the very end may all be bad.
    _finish(model, images, done, images.num_images, waiting, writer, skip)
    bar.update(images.num_images - bar.n)
  return False


def _until(stop, batches):
  """Yields batches until a signal asks to stop."""
  try:
    for batch in batches:
      yield batch
      if stop.requested:
        return
  except tf.errors.OpError:
    # A signal to the whole process group ends the readers, too.
    if not stop.requested:
      raise


def _finish(model, images, done, seen, waiting, writer, skip):
  """Writes the items whose images were all seen; returns how many are done."""
  complete = []
  while done < len(images.items):
    item = images.items[done]
    places = range(item.first, item.first + len(item.rows))
    if places.stop > seen:
      break
    bad = {at: images.bad[at] for at in places if at not in waiting}
    if bad and not skip:
      writer.write(model, complete, waiting)
      raise _error(images)
    complete.append((item, bad))
    done += 1
  writer.write(model, complete, waiting)
  return done


def _error(images):
  """Names all bad images that have been met, those read ahead too."""
  rows = [row for item in images.items for row in item.rows]
  lines = [
    f"row {rows[place].row}: Expected an image in {rows[place].image!r}. "
    f"Received: {reason}."
    for place, reason in sorted(images.bad.items())
  ]
  return BadImagesError(
    "\n".join(lines)
    + "\nMend them, or leave them out by --on_bad_image=skip. What is done is "
    "kept: with the same manifest the command goes on there."
  )


def _progress_bar(total, first):
  return tqdm.tqdm(
    total=total,
    initial=first,
    desc="Predicting",
    unit=" images",
    mininterval=0.5 if sys.stderr.isatty() else 15,
  )


def _place(mode, files, class_names, unit):
  """Puts what is complete in its place, the predictions last."""
  width = _feature_width(files)
  count = files.counts["embedded"]
  features = files.path(partial_files.FEATURES)
  if mode.embeddings:
    rows = files.path(partial_files.PLACES)
    embeddings_npz.write(
      mode.embeddings,
      {
        "row": (rows, np.int64, (count,)),
        "features": (features, np.float32, (count, width)),
      },
    )
  if mode.tensorboard_projector:
    projector.write(
      mode.tensorboard_projector,
      features=features,
      thumbnails=files.path(partial_files.THUMBNAILS),
      metadata=files.path(partial_files.METADATA),
      count=min(count, projector.MOST),
      width=width,
    )
  if mode.on_bad_image == "skip":
    copy_whole(files.path(partial_files.REJECTED), rejected_path(mode.output))
  table = files.path(partial_files.ROWS)
  if mode.output.endswith(".parquet"):
    parquet.from_csv(
      table,
      mode.output,
      floats=[f"probability_{name}" for name in class_names],
      integers=["row"] * (unit == "image"),
    )
    os.remove(table)
  else:
    os.replace(table, mode.output)


def rejected_path(output):
  """Returns where the images that were left out are listed."""
  return f"{output}.rejected.csv"


def _feature_width(files):
  """Returns f, from how many bytes so many features take; 0 without any."""
  count = files.counts["embedded"]
  size = os.path.getsize(files.path(partial_files.FEATURES))
  return size // (4 * count) if count else 0


def _occupied(mode):
  """Returns faults of outputs that are there already."""
  folder = mode.tensorboard_projector
  paths = {
    "output": mode.output,
    "embeddings": mode.embeddings,
    "tensorboard_projector": folder
    and os.path.join(folder, "projector_config.pbtxt"),
  }
  found = [
    f"Expected --{name} to be new: remove what is there, or name another. "
    f"Received: {path}, which exists"
    for name, path in paths.items()
    if path and os.path.exists(path)
  ]
  rejected = mode.output and rejected_path(mode.output)
  if rejected and os.path.exists(rejected):
    found.append(
      f"Expected no {rejected} of an earlier prediction: remove it, or name "
      f"another --output. Received: --output={mode.output}"
    )
  return found
