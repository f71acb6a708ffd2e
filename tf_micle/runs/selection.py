"""Selection of the best checkpoint, or run, by validation; early stopping."""

from __future__ import annotations

import math

from tf_micle.runs import checkpoint, run_log
from tf_micle.runs import folder as run_folder

# Scores of which less is better; of all others more is.
_LOWER_IS_BETTER = frozenset(["brier"])
PREFIX = "validation_"


def sign(select_by):
  """Returns 1 for a score of which more is better, else -1."""
  return -1 if select_by in _LOWER_IS_BETTER else 1


class Selection:
  """The best checkpoint of a run, beside its newest ones.

  What was best so far is read from the run's log, so that a resumed run
  selects as one that never stopped.
  """

  def __init__(self, run_dir, parts, *, select_by, patience, rows):
    """Takes up the selection of a run.

    Args:
      run_dir: the run's folder; the best checkpoint is in its `best/`.
      parts: as in `checkpoint.RunCheckpoints`.
      select_by: a score of `metrics.point_values`.
      patience: validations without a better one after which to stop; 0: never.
      rows: the run's log up to where it resumes.
    """
    self._checkpoints = checkpoint.RunCheckpoints(
      run_dir, parts, keep=1, folder=run_folder.BEST
    )
    self._name = PREFIX + select_by
    self._sign = sign(select_by)
    self._patience = patience
    self._best = -math.inf
    self._since_best = 0
    for row in rows:
      self._note(row)

  def consider(self, values):
    """Notes the scores of a validation; saves the checkpoint if it is best."""
    if self._note(values):
      self._checkpoints.save()

  def restore(self):
    """Puts the best checkpoint's weights in place, if there is one."""
    self._checkpoints.restore()

  @property
  def exhausted(self):
    """Whether it is time to stop early."""
    return 0 < self._patience <= self._since_best

  def _note(self, values):
    """Returns whether these values hold a better score than any before."""
    if self._name not in values:
      return False
    score = values[self._name]
    better = score is not None and self._sign * score > self._best
    if better:
      self._best, self._since_best = self._sign * score, 0
    else:
      self._since_best += 1
    return better


def best(rows, select_by):
  """Returns the row of a run's log that validates best, or None.

  Args:
    rows: as `run_log.read` returns them.
    select_by: a score of `metrics.point_values`.
  """
  name = PREFIX + select_by
  scored = [row for row in rows if row.get(name) is not None]
  return max(scored, key=lambda row: sign(select_by) * row[name], default=None)


def best_score(run_dir, select_by):
  """Returns the best validation score of a run; None where there is none."""
  row = best(run_log.read(run_dir), select_by) or {}
  return row.get(PREFIX + select_by)


def best_run(run_dirs, select_by):
  """Returns the folder of the run that validates best; the first of equals."""
  scores = {run_dir: best_score(run_dir, select_by) for run_dir in run_dirs}

  def key(run_dir):
    score = scores[run_dir]
    return -math.inf if score is None else sign(select_by) * score

  return max(scores, key=key)
