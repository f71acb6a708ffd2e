"""Prediction of images without labels, as they come in."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys

import tensorflow as tf
import tqdm
from absl import logging

from tf_micle.loading.opened import open_run
from tf_micle.prediction import outputs, parquet, partial_files, pieces
from tf_micle.prediction.rows import RowWriter
from tf_micle.runs import checkpoint
from tf_micle.system import folder_lock, stop_signal
from tf_micle.system.input_error import InputError

# What a row may be, by what the model takes.
_UNITS = {"image": ("image", "patient"), "bag": ("bag",)}


@dataclasses.dataclass(frozen=True)
class PredictMode:
  """What to write; fields are named as their flags are."""

  model_dir: str
  checkpoint: str | None
  output: str
  embeddings: str | None
  tensorboard_projector: str | None
  on_bad_image: str
  unit: str


class BadImagesError(InputError):
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


def run(mode, strategy, open_images, problems):
  """Predicts.

  Args:
    mode: `PredictMode`.
    strategy: `tf.distribute.Strategy`.
    open_images: function without arguments, called when all that is quickly
      told was found right: looks at every image file's header, and returns
      `data.batches.listed_images.ListedImages`, or None after it has added to
      `problems`.
    problems: `flags.problems.Problems`; those that are known already.

  Returns:
    An `Outcome`.

  Raises:
    BadImagesError: an image is damaged, and `on_bad_image` is 'fail'. What is
      done is kept, and the same command resumes there.
  """
  tuned = mode.model_dir and problems.collect(
    open_run, mode.model_dir, tuned=True
  )
  if mode.output and mode.output.endswith(".parquet"):
    problems.add(*parquet.problem())
  if tuned and mode.unit not in _UNITS[tuned.options.unit]:
    problems.add(
      f"Expected --unit={' or '.join(_UNITS[tuned.options.unit])} of this run. "
      f"Received: --unit={mode.unit}"
    )
  folder = partial_files.folder(mode.output)
  problems.add(*outputs.occupied(mode))
  problems.stop_if_any()
  with contextlib.ExitStack() as stack:
    problems.collect(
      stack.enter_context, folder_lock.held(folder, flag="--output")
    )
    problems.stop_if_any()
    with strategy.scope():
      network = problems.collect(tuned.network, mode.checkpoint)
    problems.stop_if_any()
    images = open_images()
    problems.stop_if_any()
    for note in (*images.notes, *network.no_points):
      logging.warning("%s", note)
    files = partial_files.PredictionFiles(
      mode.output, _identity(mode, images, network)
    )
    stopped = False
    if not files.finished(mode.output):
      predictor = _Predictor(mode, network, images, files)
      stopped = predictor.run(network.classifier, strategy, problems)
    if not stopped:
      files.remove()
  return Outcome(files.counts["rows"], files.counts["rejected"], stopped)


def _identity(mode, images, network):
  """Returns all that the rows depend on, for JSON."""
  points = network.points
  return {
    "images": images.digest,
    "checkpoint": checkpoint.digest(network.checkpoint),
    **({"operating_points": points.digest} if points else {}),
    # Which there are; by another name they are the same.
    "outputs": [
      bool(path)
      for path in (mode.output, mode.embeddings, mode.tensorboard_projector)
    ],
  }


class _Predictor:
  """Predicts item by item, from where an earlier command was stopped."""

  def __init__(self, mode, network, images, files):
    """See `run`; `files` is `partial_files.PredictionFiles`."""
    tuned = network.run
    self._mode = mode
    self._options = tuned.options
    self._class_names = tuned.class_names
    self._images = images
    self._files = files
    self._skip = mode.on_bad_image == "skip"
    self._writer = RowWriter(
      files,
      class_names=tuned.class_names,
      unit=mode.unit,
      points=network.points,
      for_spreadsheets=mode.output.endswith(".csv"),
      keep_features=bool(mode.embeddings),
      keep_thumbnails=bool(mode.tensorboard_projector),
    )
    self._done = 0  # Items that are written.
    self._waiting = {}  # Position to (features, view) of images of the others.

  def run(self, model, strategy, problems):
    """Writes what is left and puts all in its place, unless a signal comes.

    Args:
      model: `model.Classifier`.
      strategy: `tf.distribute.Strategy`.
      problems: `flags.problems.Problems`.

    Returns:
      Whether a signal came.
    """
    self._open(problems)
    size = pieces.size(model, strategy, self._options.image_size)
    try:
      with stop_signal.StopSignal() as stop:
        stopped = self._predict(model, size, stop)
    finally:
      self._files.close()
    if not stopped:
      outputs.place(self._mode, self._files, self._class_names, self._mode.unit)
    return stopped

  def _open(self, problems):
    fits = self._files.fits(may_have_rejected=self._skip)
    if not fits:
      problems.add(*outputs.occupied(self._mode, resumes=False))
      problems.stop_if_any()
      if os.path.exists(self._files.path(partial_files.ROWS)):
        logging.warning(
          "%s was of another manifest, checkpoint or choice of outputs: "
          "starting from the first image.",
          self._files.folder,
        )
    self._files.open(headers=self._writer.headers(), fits=fits)
    self._done = self._files.counts["items"]

  def _predict(self, model, size, stop):
    """Predicts to the end; returns whether a signal came first."""
    items, total = self._images.items, self._images.num_images
    first = items[self._done].first if self._done < len(items) else total
    batches = pieces.split(self._images.batches(first), size)
    with _progress_bar(total, first) as bar:
      for positions, views in _until(stop, batches):
        features = model.predict_on_batch({"views": views[:, None]})
        self._waiting.update(zip(positions.tolist(), zip(features, views)))
        seen = int(positions[-1]) + 1
        self._finish(model, seen)
        bar.update(seen - bar.n)
      if stop.requested:
        return self._done < len(items)
      # Those at the very end may all be bad.
      self._finish(model, total)
      bar.update(total - bar.n)
    return False

  def _finish(self, model, seen):
    """Writes the items whose images all stand before position `seen`."""
    complete = []
    for number in range(self._done, len(self._images.items)):
      item = self._images.items[number]
      places = range(item.first, item.first + len(item.rows))
      if places.stop > seen:
        break
      bad = {
        at: self._images.bad[at] for at in places if at not in self._waiting
      }
      if bad and not self._skip:
        self._writer.write(model, complete, self._waiting)
        raise _error(self._images)
      complete.append((item, bad))
    self._writer.write(model, complete, self._waiting)
    self._done += len(complete)


def _until(stop, batches):
  """Yields batches until a signal asks to stop."""
  try:
    for batch in batches:
      yield batch
      if stop.requested:
        return
  except (tf.errors.OpError, RuntimeError):
    # A signal to the whole process group ends the readers, too; `data` tells
    # of them by a RuntimeError.
    if not stop.requested:
      raise


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
    "kept: with the same manifest the command resumes there."
  )


def _progress_bar(total, first):
  return tqdm.tqdm(
    total=total,
    initial=first,
    desc="Predicting",
    unit=" images",
    mininterval=0.5 if sys.stderr.isatty() else 15,
  )
