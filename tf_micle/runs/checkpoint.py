"""Checkpoints of a run: saved whole, restored whole, or not at all."""

from __future__ import annotations

import collections
import glob
import hashlib
import os
import shutil

import tensorflow as tf
from absl import logging

from tf_micle.runs import folder as run_folder
from tf_micle.system import system_faults
from tf_micle.system.input_error import InputError

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
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

  def start(self, initial, models):
    """Puts the run where it is to begin, by this policy:

    1. This run's newest checkpoint, with all that it holds.
    2. The weights of `models` in the checkpoint that `initial` names.
    3. The initial weights, as they are.

    Args:
      initial: as `path` in `find`, or None.
      models: as `parts` and `least_matched` in `initialise`: dict of name to
        (built model, a part of this run; least share).

    Returns:
      The steps done, and a line that says what was restored.

    Raises:
      CheckpointError: where a checkpoint is not there or does not fit.
    """
    first_step = self.restore()
    if first_step is not None:
      return first_step, f"resumes from {self.latest}"
    if initial:
      taken = initialise(
        initial,
        {name: model for name, (model, _) in models.items()},
        least_matched={name: least for name, (_, least) in models.items()},
      )
      return 0, "starts from " + taken
    return 0, "starts from random weights"

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


def digest(path):
  """Returns the SHA-256, hexadecimal, of a checkpoint's files.

  Args:
    path: the checkpoint's prefix, as `find` returns it.
  """
  found = hashlib.sha256()
  for name in _files(path):
    with open(name, "rb") as file:
      while block := file.read(1 << 20):
        found.update(block)
  return found.hexdigest()


def initialise(path, parts, *, least_matched=None):
  """Starts `parts` from another run's weights.

  Args:
    path: as in `find`.
    parts: dict of name to built model, under the names that the run saved.
    least_matched: dict of name to the share of a part's variables that must be
      there in their shape; 1 where not named. Others keep their initial values.

  Returns:
    What was taken and what was not, variable by variable.

  Raises:
    CheckpointError: naming the variables that do not match, if too many; then
      none is changed.
  """
  path = find(path)
  try:
    reader = tf.train.load_checkpoint(path)
  except _READ_ERRORS as error:
    raise _damaged(path, _first_line(error)) from error
  shapes = reader.get_variable_to_shape_map()
  variables = _variables_by_key(tf.train.Checkpoint(**parts))
  matched, faults = {}, []
  total, found = collections.Counter(), collections.Counter()
  for key, variable in variables.items():
    name = key.removesuffix(_VALUE)
    part = name.split("/")[0]
    total[part] += 1
    if key not in shapes:
      faults.append(f"{name}: expected {variable.shape}, not in the checkpoint")
    elif tuple(shapes[key]) != tuple(variable.shape):
      faults.append(
        f"{name}: expected {variable.shape}, received {tuple(shapes[key])}"
      )
    else:
      matched[key] = variable
      found[part] += 1
  least = least_matched or {}
  if any(found[part] < least.get(part, 1) * total[part] for part in total):
    raise CheckpointError(
      f"{len(faults)} of {len(variables)} variables do not fit {path}:"
      f"{_lines(faults)}\nGive the model flags of the run that wrote it "
      "(flags.json)."
    )
  try:
    values = {key: reader.get_tensor(key) for key in matched}
  except _READ_ERRORS as error:
    raise _damaged(path, _first_line(error)) from error
  for key, variable in matched.items():
    variable.assign(values[key])
  report = f"{len(matched)} of {len(variables)} variables from {path}"
  if faults:
    report += f"; {len(faults)} keep their initial values:{_lines(faults)}"
  return report


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
  for file in _files(path):
    os.replace(file, os.path.join(folder, os.path.basename(file)))
  return folder


def _files(path):
  """Returns the files of a checkpoint, sorted."""
  folder, prefix = os.path.split(path)
  return [
    os.path.join(folder, name)
    for name in sorted(os.listdir(folder))
    if name == f"{prefix}.index" or name.startswith(f"{prefix}.data-")
  ]


def _flush(path):
  """Waits until a checkpoint and its place in the folder are on disk."""
  for name in (*_files(path), os.path.dirname(path)):
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


def _damaged(path, reason):
  return CheckpointError(
    f"Expected a checkpoint that can be read. Received: {path}, which is "
    f"damaged ({reason}). Name another one by --checkpoint."
  )


def _first_line(error):
  return (str(error).splitlines() or [type(error).__name__])[0]


def _lines(faults):
  more = f"\n  and {len(faults) - 10} more" if len(faults) > 10 else ""
  return "".join(f"\n  {fault}" for fault in faults[:10]) + more


def _variables_by_key(root):
  """Returns the variables below `root` under their keys in a checkpoint.

  A key is the shortest path of attribute names, found breadth first, as
  TensorFlow writes it.
  """
  view = tf.train.TrackableView(root)
  found, seen = {}, {id(root)}
  queue = collections.deque([(root, "")])
  while queue:
    parent, path = queue.popleft()
    for name, child in view.children(parent).items():
      if id(child) in seen:
        continue
      seen.add(id(child))
      # TensorFlow escapes what would look like its separators.
      child_path = (
        path + "/" * bool(path) + name.replace(".", "..").replace("/", ".S")
      )
      if isinstance(child, tf.Variable):
        found[child_path + _VALUE] = child
      queue.append((child, child_path))
  found.pop("save_counter" + _VALUE, None)
  return found
