"""Parallel map over many items: on all cores, in order, in flat memory."""

from __future__ import annotations

import collections
import contextlib
import errno
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any

# Enough that no worker waits for the writer, few enough to hold in memory.
_CHUNKS_AHEAD_PER_WORKER = 3
_ITEMS_WORTH_A_WORKER = 32
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerDiedError(RuntimeError):
  """A worker process ended by itself, most often for lack of memory."""


def default_workers() -> int:
  """Returns the number of cores that this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


class WorkerPool:
  """A pool of processes; with one worker, the caller's own process.

  Use it as a context manager: leaving it drops what is not yet begun.
  """

  def __init__(self, workers: int, items: int):
    """Plans a pool; processes start when there is work for them.

    Args:
      workers: most processes to start.
      items: how many items there are; few are not worth many processes.
    """
    self._workers = max(1, min(workers, items // _ITEMS_WORTH_A_WORKER))
    self._executor = None
    if self._workers > 1:
      self._executor = futures.ProcessPoolExecutor(
        self._workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
      )

  def __enter__(self) -> WorkerPool:
    return self

  def __exit__(self, *exc_info) -> None:
    if self._executor is not None:
      self._executor.shutdown(wait=True, cancel_futures=True)

  def ordered_map(
    self,
    function: Callable[[Any], Any],
    pairs: Iterable[tuple[Any, Any]],
    chunk: int,
  ) -> Iterator[tuple[Any, Any]]:
    """Yields (key, function(item)) for each pair (key, item), in their order.

    Args:
      function: picklable, of a module that is cheap to import.
      pairs: what tells an item, which stays in this process, and the item.
        They are taken only as far as results are asked for, and a window ahead.
      chunk: items that travel to a worker at once.

    Raises:
      WorkerDiedError: a worker process ended by itself.
    """
    if self._executor is None:
      yield from ((key, function(item)) for key, item in pairs)
      return
    pairs = iter(pairs)
    chunks = iter(lambda: list(itertools.islice(pairs, chunk)), [])
    pending = collections.deque()
    try:
      for batch in chunks:
        keys, items = zip(*batch)
        pending.append((keys, self._submit(function, items)))
        if len(pending) >= self._workers * _CHUNKS_AHEAD_PER_WORKER:
          yield from _results(*pending.popleft())
      while pending:
        yield from _results(*pending.popleft())
    except BrokenProcessPool as error:
      raise WorkerDiedError(
        f"One of {self._workers} worker processes died, most often because "
        "memory ran out: look at the system log."
      ) from error

  def _submit(self, function, batch) -> futures.Future:
    try:
      with _clean_start():
        return self._executor.submit(_map_batch, function, batch)
    except OSError as error:
      # The pool is closed, as a process died, while it starts another.
      if error.errno in (None, errno.EPIPE):
        raise BrokenProcessPool from error
      raise


def _results(keys, future) -> Iterator[tuple[Any, Any]]:
  return zip(keys, future.result())


def _map_batch(function, batch):
  return [function(item) for item in batch]


@contextlib.contextmanager
def _clean_start() -> Iterator[None]:
  """Lets processes that are spawned inside begin without the caller's main.

  A spawned process imports the caller's main module again, and with it, in
  run.py, TensorFlow: seconds and half a gigabyte a worker. And the thread
  pools of numerical libraries read their size when they are imported.
  """
  main = sys.modules["__main__"]
  before = {name: os.environ.get(name) for name in _ONE_THREAD}
  sys.modules["__main__"] = types.ModuleType("__main__")
  os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
  try:
    yield
  finally:
    sys.modules["__main__"] = main
    for name, value in before.items():
      if value is None:
        del os.environ[name]
      else:
        os.environ[name] = value


def _start_worker() -> None:
  # Ctrl-C reaches the whole process group; the parent ends its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  """Ends this process when the parent is gone, even if it was killed."""
  parent = multiprocessing.parent_process()
  if parent is not None:
    connection.wait([parent.sentinel])
    os._exit(1)
