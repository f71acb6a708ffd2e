"""Workers of one run: what they agree on, and which of them writes.

All take the same steps together, in lockstep. The first one, the chief, writes
the run's folder; each other has a folder of its own, which goes when it ends.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
import zlib

import tensorflow as tf

from tf_micle.system import tf_config


def count(strategy):
  """Returns how many processes take the steps of a `tf.distribute.Strategy`."""
  several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
  return tf_config.num_workers() if several else 1


def is_chief(strategy):
  """Whether this process is the one that writes."""
  if count(strategy) == 1:
    return True
  config = tf_config.read()
  task, cluster = config["task"], config["cluster"]
  if cluster.get("chief"):
    return task["type"] == "chief"
  return int(task["index"]) == 0


def agreed(stop, strategy):
  """Returns a `stop_signal.StopSignal` that is requested for all once for one.

  Where there are several workers, all must ask equally often.

  Args:
    stop: this process's.
    strategy: `tf.distribute.Strategy`.
  """
  return stop if count(strategy) == 1 else _AgreedStop(stop, strategy)


class _AgreedStop:
  def __init__(self, stop, strategy):
    self._stop = stop
    self._strategy = strategy

  @property
  def requested(self):
    """Whether a signal came to any worker."""
    return any_of(self._strategy, self._stop.requested)


def any_of(strategy, here):
  """Whether the bool `here` is true for any worker; waits for all of them."""
  if count(strategy) == 1:
    return here
  return bool(_sum(strategy)(tf.constant(float(here))) > 0)


def same_for_all(strategy, text):
  """Whether `text` is the same for all workers; waits for all of them."""
  if count(strategy) == 1:
    return True
  # Below 2 ** 16, so that the sum over 256 devices is exact in float32.
  mine = zlib.crc32(text.encode()) % 2**16
  total = float(_sum(strategy)(tf.constant(float(mine))))
  # Where one differs, at least one is not the mean of all.
  differs = total != mine * strategy.num_replicas_in_sync
  return not any_of(strategy, differs)


@functools.cache
def _sum(strategy):
  """Returns a compiled function from a float to its sum over all replicas."""

  def total(value):
    each = strategy.run(tf.identity, [value])
    return strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None)

  return tf.function(total, autograph=False)


@contextlib.contextmanager
def own_folder(run_dir, strategy):
  """Yields the folder that this worker is to take for the run's.

  The chief's is the run's. Any other worker has a copy: the checkpoints are
  links, so that it starts from what the chief does; what it writes goes again.
  Returns when all workers have theirs, so that none copies what is changing.

  Args:
    run_dir: the run's folder, which all workers can read, or None.
    strategy: `tf.distribute.Strategy`.
  """
  if is_chief(strategy) or not run_dir:
    any_of(strategy, False)
    yield run_dir
    return
  with tempfile.TemporaryDirectory(prefix="tf_micle-worker-") as folder:
    if os.path.isdir(run_dir):
      shutil.copytree(
        run_dir, folder, copy_function=_copy_or_link, dirs_exist_ok=True
      )
    any_of(strategy, False)
    yield folder


def _copy_or_link(source, target):
  """Links the large files of a checkpoint, which nobody writes to again."""
  if ".data-" in os.path.basename(source):
    os.symlink(os.path.abspath(source), target)
  else:
    shutil.copy2(source, target)
