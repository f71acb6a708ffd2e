"""Picking of a fine-tuned run by its own validation."""

from __future__ import annotations

import os

from tf_micle.runs import folder as run_folder
from tf_micle.runs import run_log, selection


def score(folder: str, name: str) -> float | None:
  """Returns the best validation score of a run; None where there is none.

  Args:
    folder: the study's.
    name: of the job.
  """
  run_dir = os.path.join(folder, name)
  select_by = _select_by(run_dir)
  best = selection.best(run_log.read(run_dir), select_by) or {}
  return best.get(selection.PREFIX + select_by)


def best(folder: str, names: tuple[str, ...]) -> str:
  """Returns the run with the best validation score; the first of equals.

  No test set is looked at.
  """

  def key(name):
    found = score(folder, name)
    sign = selection.sign(_select_by(os.path.join(folder, name)))
    return -float("inf") if found is None else sign * found

  return max(names, key=key)


def _select_by(run_dir):
  return run_folder.read_flags(run_dir).get("select_by", "mean_auroc")
