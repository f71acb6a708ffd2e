"""Pool of workers: order, memory, a worker that dies.

Does not import TensorFlow: the workers import this file to find the functions
that they run.
"""

from __future__ import annotations

import os
import signal
import sys
import types

import pytest

from data.images.worker_pool import WorkerDiedError, WorkerPool


def double(item):
  return 2 * item


def die_at_70(item):
  if item == 70:
    os.kill(os.getpid(), signal.SIGKILL)
  return item


def is_clean(_):
  return "tensorflow" not in sys.modules and not hasattr(
    sys.modules["__main__"], "callers_main"
  )


def pairs(count):
  return ((f"key {i}", i) for i in range(count))


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_of_the_items(workers):
  with WorkerPool(workers, 100) as pool:
    results = list(pool.ordered_map(double, pairs(100), 7))
  assert results == [(f"key {i}", 2 * i) for i in range(100)]


def test_items_are_taken_a_window_ahead_only():
  taken = []

  def items():
    for i in range(10_000):
      taken.append(i)
      yield i, i

  with WorkerPool(2, 10_000) as pool:
    results = pool.ordered_map(double, items(), 5)
    for _ in range(20):
      next(results)
    assert len(taken) < 100
    results.close()


def test_workers_start_without_the_callers_main(monkeypatch):
  main = types.ModuleType("__main__")
  main.callers_main = True
  main.__file__ = "/nonexistent/run.py"
  monkeypatch.setitem(sys.modules, "__main__", main)
  with WorkerPool(2, 100) as pool:
    results = pool.ordered_map(is_clean, pairs(8), 1)
    assert [clean for _, clean in results] == [True] * 8
  assert sys.modules["__main__"] is main


def test_dead_worker_is_told():
  with (
    WorkerPool(2, 100) as pool,
    pytest.raises(WorkerDiedError, match="memory ran out"),
  ):
    list(pool.ordered_map(die_at_70, pairs(100), 4))
