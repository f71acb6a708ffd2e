"""Grid search: the arms of a sweep in turn, picked by validation."""

from __future__ import annotations

import os
import signal
import subprocess

from absl import logging

from tf_micle.runs import folder as run_folder
from tf_micle.runs import run_log, selection
from tf_micle.system import stop_signal
from tf_micle.system.written_whole import write_json

FILE_NAME = "sweep.json"


def search(folder, arms, *, select_by, bad_use, stopped):
  """Runs each arm's command in a process of its own; a finished one is kept.

  Processes keep arms apart: one that fails is noted, and the others run.

  Args:
    folder: the sweep's folder; `sweep.json` is written there after each arm.
    arms: list of (flags of the arm, its command, its run folder).
    select_by: the score of validation that picks.
    bad_use: exit status that ends the sweep if the first arm has it, as the
      fault is likely to be that of all arms.
    stopped: exit status of an arm that a signal stopped; it ends the sweep.

  Returns:
    The exit status that ended the sweep, or 0; and the content of sweep.json:
    `arms`, each with `flags`, `model_dir`, `status` (exit status), `step` and
    `score` of its best validation; and `best`, the run folder of the best arm,
    or None.
  """
  os.makedirs(folder, exist_ok=True)
  path = os.path.join(folder, FILE_NAME)
  rows = {row["model_dir"]: row for row in _earlier(path)}
  for number, (flags, command, run_dir) in enumerate(arms, start=1):
    row = rows.get(run_dir)
    if not row or row["status"] or row["command"] != command:
      logging.info("Sweep %d of %d: %s", number, len(arms), flags)
      row = _run(flags, command, run_dir, select_by)
    if row["status"] in (stopped, -signal.SIGINT, -signal.SIGTERM):
      return stopped, {"arms": list(rows.values()), "best": None}
    if row["status"] == bad_use and number == 1:
      return bad_use, {"arms": list(rows.values()), "best": None}
    rows[run_dir] = row
    write_json(path, {"arms": list(rows.values()), "best": None})
  tried = [rows[run_dir] for _, _, run_dir in arms]
  result = {"arms": tried, "best": _best(tried, select_by)}
  write_json(path, result)
  return 0, result


def table(result, select_by):
  """Returns a sweep as lines of text, the best arm first."""
  sign = -selection.sign(select_by)  # The best first.
  scored = sorted(
    (row for row in result["arms"] if row["score"] is not None),
    key=lambda row: sign * row["score"],
  )
  failed = [row for row in result["arms"] if row["score"] is None]
  lines = [f"{select_by:>18}  step    flags"]
  for row in scored:
    lines.append(f"{row['score']:18.4f}  {row['step']:<6d}  {_text(row)}")
  for row in failed:
    what = f"status {row['status']}" if row["status"] else "not defined"
    lines.append(f"{what:>18}  {'':6}  {_text(row)}")
  return "\n".join(lines)


def _text(row):
  return " ".join(f"--{name}={value}" for name, value in row["flags"].items())


def _run(flags, command, run_dir, select_by):
  """Runs one arm; SIGTERM and SIGINT are handed to it."""
  # A session of its own: a terminal's Ctrl-C would reach it twice.
  with (
    subprocess.Popen(command, start_new_session=True) as process,
    stop_signal.handed_on(process.send_signal),
  ):
    status = process.wait()
  best = selection.best(run_log.read(run_dir), select_by) or {}
  return {
    "flags": flags,
    "command": command,
    "model_dir": run_dir,
    "status": status,
    "step": best.get("step"),
    "score": best.get(selection.PREFIX + select_by),
  }


def _best(rows, select_by):
  sign = selection.sign(select_by)
  finished = [r for r in rows if not r["status"] and r["score"] is not None]
  best = max(finished, key=lambda row: sign * row["score"], default=None)
  return best and best["model_dir"]


def _earlier(path):
  """Returns the arms that an earlier call finished."""
  arms = run_folder.read_json(path).get("arms", [])
  keys = {"flags", "command", "model_dir", "status", "step", "score"}
  if not all(isinstance(row, dict) and keys <= row.keys() for row in arms):
    raise run_folder.damaged(path, "arms of another form")
  return arms
