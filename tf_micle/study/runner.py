"""Runner of a study's jobs: processes, one or several at a time."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time

from absl import logging

from tf_micle.runs import selection
from tf_micle.study.jobs import KINDS
from tf_micle.system import stop_signal
from tf_micle.system.plurals import counted

_POLL_SECONDS = 0.1
_EVALUATED = re.compile(r"^In (.+): report\.html", re.MULTILINE)


class Runner:
  """Runs what is not done; ends early only where a signal asks for it."""

  def __init__(
    self, folder, program, jobs, journal, environments, select_by, lock
  ):
    """Takes what is to be run.

    Args:
      folder: the study's; jobs have folders and logs in it.
      program: the command that a job's arguments follow, as a list.
      jobs: `jobs.Job` in order.
      journal: `journal.Journal`.
      environments: variables of each process at a time, a list of dicts: as
        many run together.
      select_by: score of validation that picks the run to evaluate.
      lock: open file that holds the study's folder; jobs inherit it, so that
        it is held until the last of them ends if this process is killed.
    """
    self._folder = folder
    self._program = program
    self._total = len(jobs)
    self._left = [job for job in jobs if not journal.done(job.name)]
    self._journal = journal
    self._select_by = select_by
    self._lock = lock
    self._free = list(environments)
    self._slots = len(environments)
    self._running = {}  # Process -> (job, environment, start, picked).
    self._signal = None

  def run(self) -> bool:
    """Runs the jobs; returns whether a signal stopped it."""
    waiting = list(self._left)
    self._tell_plan()
    with stop_signal.handed_on(self._hand_on):
      while waiting or self._running:
        if not self._signal:
          waiting = self._start_ready(waiting)
        self._collect()
        if self._signal and not self._running:
          return True
        stuck = not self._running and not any(map(self._ready, waiting))
        if stuck and waiting:
          logging.error(
            "%s not run, as what they start from failed.",
            counted(len(waiting), "job", "is"),
          )
          return False
        time.sleep(_POLL_SECONDS)
    return False

  def _ready(self, job):
    return all(map(self._journal.done, job.needs))

  def _start_ready(self, waiting):
    """Starts what can be; returns what then waits."""
    left = []
    for job in waiting:
      if self._free and self._ready(job):
        self._start(job)
      else:
        left.append(job)
    return left

  def _start(self, job):
    model_dir, picked = os.path.join(self._folder, job.name), None
    if job.kind == "evaluate":
      tuned = {os.path.join(self._folder, c): c for c in job.candidates}
      model_dir = selection.best_run(tuned, self._select_by)
      picked = tuned[model_dir]
    start = [f"--checkpoint={self._folder}/{job.start}"] if job.start else []
    command = [*self._program, *job.arguments, *start]
    log = log_path(self._folder, job)
    os.makedirs(os.path.dirname(log), exist_ok=True)
    environment = self._free.pop(0)
    with open(log, "ab") as file:
      process = subprocess.Popen(
        [*command, f"--model_dir={model_dir}"],
        stdout=file,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        # Of its own: a terminal's Ctrl-C would reach it twice.
        start_new_session=True,
        pass_fds=[self._lock.fileno()],
        preexec_fn=_ends_with_parent(),
      )
    self._running[process] = (job, environment, time.monotonic(), picked)
    if self._signal:  # It came before the process was among those running.
      process.send_signal(self._signal)

  def _collect(self):
    """Notes the processes that have ended."""
    for process in list(self._running):
      if process.poll() is None:
        continue
      job, environment, start, picked = self._running.pop(process)
      self._left.remove(job)
      self._free.append(environment)
      seconds = time.monotonic() - start
      more = self._evaluated(job, picked) if picked else {}
      self._journal.note(job, process.returncode, seconds, **more)
      if process.returncode and not self._signal:
        log = log_path(self._folder, job)
        logging.error(
          "Failed with status %d: %s\n  %s: %s",
          process.returncode,
          job.told,
          log,
          _last_line(log),
        )
      elif not process.returncode:
        logging.info("%s: %.0f s. %s", job.told, seconds, self._remaining())

  def _evaluated(self, job, picked):
    """Returns what run.py says of where an evaluation is, and of what run."""
    path = log_path(self._folder, job)
    with open(path, encoding="utf-8", errors="replace") as file:
      found = _EVALUATED.findall(file.read())
    name = os.path.basename(found[-1]) if found else None
    return {"picked": picked, "folder": name}

  def _tell_plan(self):
    kinds = [job.kind for job in self._left]
    logging.info(
      "%s, %d done before. %s",
      counted(self._total, "job"),
      self._total - len(self._left),
      self._remaining(),
    )
    if kinds:
      parts = [f"{kinds.count(k)} {k}" for k in KINDS if k in kinds]
      logging.info("To do: %s.", ", ".join(parts))

  def _remaining(self):
    count = len(self._left)
    if not count:
      return "Nothing remains."
    times = [self._journal.expected(job) for job in self._left]
    known = [seconds for seconds in times if seconds is not None]
    text = f"{counted(count, 'job', 'is')} left"
    if len(known) < len(times):
      return f"{text}; how long is known when one of each kind is done."
    return f"{text}, about {duration(sum(known) / self._slots)}."

  def _hand_on(self, number):
    """Hands a signal to the jobs, which save and end."""
    self._signal = number
    for process in list(self._running):
      process.send_signal(number)


def duration(seconds: float) -> str:
  """45 -> "45 s", 600 -> "10 min", 9000 -> "2.5 h"."""
  if seconds < 90:
    return f"{seconds:.0f} s"
  if seconds < 5400:
    return f"{seconds / 60:.0f} min"
  return f"{seconds / 3600:.1f} h"


def log_path(folder: str, job) -> str:
  """Returns where the output of a job goes."""
  return os.path.join(folder, "logs", f"{job.name.replace('/', '-')}.log")


def _last_line(path):
  with open(path, encoding="utf-8", errors="replace") as file:
    lines = [line.strip() for line in file if line.strip()]
  # What run.py says after a traceback is not the reason.
  told = [line for line in lines if not line.startswith("This is a fault of")]
  return told[-1] if told else "(nothing was printed)"


def _ends_with_parent():
  """Returns what a new process calls to be stopped when this one is killed."""
  if not sys.platform.startswith("linux"):
    return None
  system = ctypes.CDLL(None)
  # PR_SET_PDEATHSIG: else a job would work on in a folder that the study's next
  # start wants.
  return lambda: system.prctl(1, signal.SIGTERM)
