"""Checkpoints of a run: saved whole, restored whole, or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil

import tensorflow as tf
from absl import logging

from tf_micle.encoder.published import files
from tf_micle.runs import folder as run_folder
from tf_micle.system import system_faults
from tf_micle.system.input_error import InputError

# What reading a checkpoint raises.
_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)


class CheckpointError(InputError):
  """A checkpoint is not there or does not fit."""


class RunCheckpoints:
  """The numbered checkpoints in a run's folder.

  Each holds all that the next step depends on; the newest few are kept.
  """

  def __init__(self, run_dir, parts, *, keep, folder=run_folder.CHECKPOINTS):
    """Opens `run_dir`'s checkpoints; writes nothing yet.

    Args:
      run_dir: the run's folder.
      parts: dict of name to trackable (models, built optimisers); 'optimizer'
        is the one whose `iterations` count the run's steps.
      keep: how many of the newest checkpoints to keep.
      folder: of the checkpoints, in the run's.
    """
    self._iterations = parts["optimizer"].iterations
    self._checkpoint = tf.train.Checkpoint(**parts)
    self._folder = os.path.join(run_dir, folder)
    # Which there are is read from the folder, not from the manager's list: a
    # kill may come between the two.
    self._manager = tf.train.CheckpointManager(
      self._checkpoint, self._folder, max_to_keep=keep
    )

  def restore(self):
    """Restores the newest checkpoint that is whole, if there is one.

    Those that are damaged are named in the log and moved to a folder `damaged`
    beside the others; what a kill left of one that was being written goes.

    Returns:
      The step that it was saved after, or None without a checkpoint.

    Raises:
      CheckpointError: if it does not fit this run's model and optimisers, or
        all are damaged.
    """
    for remains in glob.glob(f"{glob.escape(self._folder)}/ckpt-*_temp"):
      shutil.rmtree(remains, ignore_errors=True)
    damaged = []
    for path in run_folder.saved(self._folder):
      try:
        self._checkpoint.restore(path).assert_consumed()
      except (AssertionError, *_READ_ERRORS) as error:
        damage = _damage(path)
        if not damage:
          raise _unfit(path, error) from error
        damaged.append((path, damage))
        continue
      for other, damage in damaged:
        logging.warning(
          "%s is damaged (%s): it is set aside in %s, and %s is used.",
          other,
          damage,
          _set_aside(other),
          path,
        )
      return int(self._iterations.numpy())
    if damaged:
      raise CheckpointError(
        f"Expected a checkpoint that can be read in {self._folder}. Received: "
        f"{len(damaged)}, all damaged: {damaged[0][0]} ({damaged[0][1]}). "
        "Start anew in another --model_dir."
      )
    return None

  def save(self):
    """Saves everything under the number of steps done so far.

    What a kill leaves of it is no checkpoint: TensorFlow writes the index last.
    It is on disk, not only in memory, before this returns.

    Raises:
      OSError: if it cannot be written.
    """
    step = int(self._iterations.numpy())
    newest = self.latest
    if newest and newest.endswith(f"ckpt-{step}"):
      return
    with system_faults.raised():
      _flush(self._manager.save(checkpoint_number=step))

  @property
  def latest(self):
    """The newest checkpoint's path, or None."""
    return next(iter(run_folder.saved(self._folder)), None)


def find(path):
  """Returns the checkpoint that `path` means.

  Args:
    path: a run's folder, a folder of checkpoints, or a checkpoint's prefix.

  Raises:
    CheckpointError: where there is none.
  """
  for folder in (os.path.join(path, run_folder.CHECKPOINTS), path):
    newest = [*run_folder.saved(folder), tf.train.latest_checkpoint(folder)][0]
    if newest:
      return newest
  if os.path.exists(path + ".index"):
    return path
  raise CheckpointError(
    "Expected a run's folder, or a checkpoint such as RUN/checkpoints/ckpt-100."
    f" Received: {path}, in which there is no checkpoint."
  )


def open_reader(path):
  """Returns TensorFlow's reader of a checkpoint.

  Args:
    path: the checkpoint's prefix, as `find` returns it.

  Raises:
    CheckpointError: if it is damaged.
  """
  with _readable(path):
    return tf.train.load_checkpoint(path)


def read_arrays(reader, keys, path):
  """Returns the arrays under keys of a checkpoint, by key.

  Raises:
    CheckpointError: if it is damaged.
  """
  with _readable(path):
    return {key: reader.get_tensor(key) for key in keys}


@contextlib.contextmanager
def _readable(path):
  try:
    yield
  except _READ_ERRORS as error:
    if system_faults.may_pass(error):
      raise
    raise CheckpointError(
      f"Expected a checkpoint that can be read. Received: {path}, which is "
      f"damaged ({_first_line(error)}). Name another one by --checkpoint."
    ) from error


def digest(path):
  """Returns the SHA-256, hexadecimal, of a checkpoint's files.

  Args:
    path: the checkpoint's prefix, as `find` returns it.
  """
  return files.digest(list_files(path))


def _damage(path):
  """Returns why a checkpoint cannot be read, or None if all of it can."""
  try:
    reader = tf.train.load_checkpoint(path)
    for key in reader.get_variable_to_shape_map():
      reader.get_tensor(key)
  except _READ_ERRORS as error:
    # What cannot be read now may be sound.
    if system_faults.may_pass(error):
      raise
    return _first_line(error)
  return None


def _set_aside(path):
  """Moves a checkpoint's files to a folder beside it; returns the folder."""
  folder = os.path.join(os.path.dirname(path), run_folder.DAMAGED)
  os.makedirs(folder, exist_ok=True)
  for file in list_files(path):
    os.replace(file, os.path.join(folder, os.path.basename(file)))
  return folder


def list_files(path):
  """Returns the files of a checkpoint, sorted."""
  folder, prefix = os.path.split(path)
  return [
    os.path.join(folder, name)
    for name in sorted(os.listdir(folder))
    if name == f"{prefix}.index" or name.startswith(f"{prefix}.data-")
  ]


def _flush(path):
  """Waits until a checkpoint and its place in the folder are on disk."""
  for name in (*list_files(path), os.path.dirname(path)):
    file = os.open(name, os.O_RDONLY)
    try:
      os.fsync(file)
    finally:
      os.close(file)


def _unfit(path, error):
  return CheckpointError(
    f"Expected {path} to fit the model that the flags describe. Received: "
    f"{_first_line(error)} Give the flags of the run's flags.json, or another "
    "--model_dir."
  )


def _first_line(error):
  return (str(error).splitlines() or [type(error).__name__])[0]
