"""Log of a run: metrics.jsonl and TensorBoard's event files."""

from __future__ import annotations

import contextlib
import glob
import json
import os

import tensorflow as tf

from tf_micle.runs import folder as run_folder
from tf_micle.system import system_faults
from tf_micle.system.written_whole import written_whole

_UNVALIDATED = "unvalidated"


class RunLog:
  """Writes each logged step once, as a line of JSON and as scalars."""

  def __init__(self, run_dir, *, first_step):
    """Opens the log of `run_dir`.

    Args:
      run_dir: the run's folder.
      first_step: where the run resumes; lines of later steps, written by a run
        that was stopped before it saved them, are dropped. At step 0 all are.
    """
    self._path = os.path.join(run_dir, run_folder.METRICS)
    rows = read(run_dir) if first_step else []
    self._rows = [row for row in rows if row["step"] <= first_step]
    self._write_rows()
    _forget_events(run_dir, first_step)
    self._writer = tf.summary.create_file_writer(os.fspath(run_dir))

  @property
  def unvalidated(self):
    """Whether a signal came before the validation of the last step."""
    return bool(self._rows) and _UNVALIDATED in self._rows[-1]

  def complete(self, step, values):
    """Adds to the last row what the validation of its step, `step`, gave."""
    row = {k: v for k, v in self._rows[-1].items() if k != _UNVALIDATED}
    self._rows[-1] = {**row, **values}
    self._write_events(step, values)
    self._write_rows()

  def write(self, step, values, *, unvalidated=False):
    """Writes a dict of floats for `step`; `unvalidated`: see the property."""
    marks = {_UNVALIDATED: True} if unvalidated else {}
    with open(self._path, "a", encoding="utf-8") as file:
      file.write(json.dumps({"step": step, **values, **marks}) + "\n")
      file.flush()
      os.fsync(file.fileno())
    self._write_events(step, values)

  def _write_rows(self):
    with written_whole(self._path) as file:
      file.writelines(json.dumps(row) + "\n" for row in self._rows)

  def _write_events(self, step, values):
    with self._events(step):
      for name, value in values.items():
        tf.summary.scalar(name, value)

  def write_picture(self, step, name, picture):
    """Writes a uint8 (h, w, 3) picture for `step`."""
    with self._events(step):
      tf.summary.image(name, picture[None])

  @contextlib.contextmanager
  def _events(self, step):
    with system_faults.raised():
      with self._writer.as_default(step):
        yield
      self._writer.flush()


def read(run_dir):
  """Returns the rows of a run's metrics.jsonl; [] where there is none.

  A last line that was cut off while it was written is left out.

  Raises:
    InputError: where another line is damaged.
  """
  path = os.path.join(run_dir, run_folder.METRICS)
  if not os.path.exists(path):
    return []
  rows = []
  with open(path, encoding="utf-8") as file:
    for number, line in enumerate(file, start=1):
      if line.endswith("\n"):
        try:
          rows.append(json.loads(line))
          rows[-1]["step"] += 0  # A row is an object with a step.
        except (ValueError, TypeError, KeyError) as error:
          raise run_folder.damaged(path, f"line {number}: {error}") from error
  return rows


def _forget_events(run_dir, first_step):
  """Drops TensorBoard's events of steps that the run will take again.

  A run that begins anew, at step 0, forgets them all.
  """
  for path in glob.glob(f"{glob.escape(os.fspath(run_dir))}/events.out.*"):
    kept, dropped = [], 0
    for record in _records(path):
      event = tf.compat.v1.Event.FromString(record)
      # The first event of a file tells its version, and is no step's.
      stays = event.file_version or 0 < event.step <= first_step
      stays = stays or (first_step and not event.step)
      if stays:
        kept.append(record)
      else:
        dropped += 1
    if dropped:
      partial = os.path.join(run_dir, ".events.partial")
      with tf.io.TFRecordWriter(partial) as file:
        for record in kept:
          file.write(record)
      os.replace(partial, path)


def _records(path):
  """Yields a file's records up to where a kill cut it off."""
  try:
    yield from tf.data.TFRecordDataset(path).as_numpy_iterator()
  except tf.errors.DataLossError:
    return
