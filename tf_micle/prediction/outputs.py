"""Outputs of a prediction: which are taken, and putting them in their place."""

from __future__ import annotations

import os

import numpy as np

from tf_micle.prediction import (
  embeddings_npz,
  parquet,
  partial_files,
  projector,
)
from tf_micle.system.input_error import InputError
from tf_micle.system.written_whole import copy_whole


def rejected_path(output):
  """Returns where the images that were left out are listed."""
  return f"{output}.rejected.csv"


def occupied(mode, *, resumes=True):
  """Returns problems with outputs that are there already.

  Args:
    mode: `modes.predict.PredictMode`.
    resumes: whether what an earlier command began to put in its place may be
      there.
  """
  if not mode.output:
    return []
  own = partial_files.placed(mode.output) if resumes else ()
  found = [
    f"Expected --{name} to be new: remove what is there, or name another. "
    f"Received: {path}, which exists"
    for name, path in _places(mode).items()
    if os.path.exists(path) and os.path.realpath(path) not in own
  ]
  rejected = rejected_path(mode.output)
  if os.path.exists(rejected) and os.path.realpath(rejected) not in own:
    found.append(
      f"Expected no {rejected} of an earlier prediction: remove it, or name "
      f"another --output. Received: --output={mode.output}"
    )
  partial = partial_files.folder(mode.output)
  if os.path.lexists(partial) and not os.path.isdir(partial):
    found.append(
      f"Expected {partial}, which holds what is unfinished, to be a folder or "
      "a name that is free. Received: a file; remove it, or name another "
      "--output"
    )
  return found


def place(mode, files, class_names, unit):
  """Puts what is complete in its place, the predictions last.

  Args:
    mode: `modes.predict.PredictMode`.
    files: `partial_files.PredictionFiles`, complete and closed.
    class_names: in the order of the model's outputs.
    unit: 'image', 'bag' or 'patient'.

  Raises:
    InputError: if something has come there in the meantime.
  """
  found = occupied(mode)
  if found:
    raise InputError(
      "\n".join(found) + "\nWhat is done is kept: the command resumes there."
    )
  width = _feature_width(files)
  count = files.counts["embedded"]
  features = files.path(partial_files.FEATURES)
  if mode.embeddings:
    files.placing(mode.embeddings)
    rows = files.path(partial_files.PLACES)
    embeddings_npz.write(
      mode.embeddings,
      {
        "row": (rows, np.int64, (count,)),
        "features": (features, np.float32, (count, width)),
      },
    )
  if mode.tensorboard_projector:
    files.placing(projector.config_path(mode.tensorboard_projector))
    projector.write(
      mode.tensorboard_projector,
      features=features,
      thumbnails=files.path(partial_files.THUMBNAILS),
      metadata=files.path(partial_files.METADATA),
      count=min(count, projector.MOST),
      width=width,
    )
  if mode.on_bad_image == "skip":
    files.placing(rejected_path(mode.output))
    copy_whole(files.path(partial_files.REJECTED), rejected_path(mode.output))
  files.placing(mode.output)
  table = files.path(partial_files.ROWS)
  if mode.output.endswith(".parquet"):
    parquet.from_csv(
      table,
      mode.output,
      floats=[f"probability_{name}" for name in class_names],
      integers=[
        *(["row"] * (unit == "image")),
        *(f"decision_{name}" for name in class_names),
      ],
    )
    os.remove(table)
  else:
    os.replace(table, mode.output)


def _places(mode):
  """Returns the file that tells whether an output is there, by its flag."""
  folder = mode.tensorboard_projector
  places = {
    "output": mode.output,
    "embeddings": mode.embeddings,
    "tensorboard_projector": folder and projector.config_path(folder),
  }
  return {name: path for name, path in places.items() if path}


def _feature_width(files):
  """Returns f, from how many bytes so many features take; 0 without any."""
  count = files.counts["embedded"]
  size = os.path.getsize(files.path(partial_files.FEATURES))
  return size // (4 * count) if count else 0
