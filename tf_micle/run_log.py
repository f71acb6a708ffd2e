"""What a run says of itself: metrics.jsonl and TensorBoard."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from tf_micle.written_whole import written_whole


class RunLog:
  """Writes each logged step once, as a line of JSON and as scalars."""

  def __init__(self, run_dir, *, first_step):
    """Opens the log of `run_dir`.

    Args:
      run_dir: the run's folder.
      first_step: where the run goes on; lines of later steps, written by a run
        that was stopped before it saved them, are dropped.
    """
    self._path = os.path.join(run_dir, "metrics.jsonl")
    kept = [row for row in read(run_dir) if row["step"] <= first_step]
    with written_whole(self._path) as file:
      file.writelines(json.dumps(row) + "\n" for row in kept)
    self._writer = tf.summary.create_file_writer(os.fspath(run_dir))

  def write(self, step, values):
    """Writes a dict of floats for `step`."""
    with open(self._path, "a", encoding="utf-8") as file:
      file.write(json.dumps({"step": step, **values}) + "\n")
    with self._writer.as_default(step):
      for name, value in values.items():
        tf.summary.scalar(name, value)
    self._writer.flush()

  def write_picture(self, step, name, picture):
    """Writes a uint8 (h, w, 3) picture for `step`."""
    with self._writer.as_default(step):
      tf.summary.image(name, picture[None])
    self._writer.flush()


def read(run_dir):
  """Returns the rows of a run's metrics.jsonl; [] where there is none.

  A last line that was cut off while it was written is left out.
  """
  path = os.path.join(run_dir, "metrics.jsonl")
  if not os.path.exists(path):
    return []
  rows = []
  with open(path, encoding="utf-8") as file:
    for line in file:
      if line.endswith("\n"):
        rows.append(json.loads(line))
  return rows
