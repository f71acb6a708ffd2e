"""Study mode: runs what is missing, then says what was found."""

from __future__ import annotations

import os

from absl import logging

from tf_micle.study import jobs as study_jobs
from tf_micle.study import page, results
from tf_micle.study.journal import Journal
from tf_micle.study.runner import Runner
from tf_micle.system import folder_lock
from tf_micle.system.plurals import counted


def run(study, program, folder, *, at_once):
  """Runs a study in a folder; what is done there already is kept.

  Args:
    study: `design.Study`.
    program: the command of run.py, as a list.
    folder: the study's; made if absent.
    at_once: how many jobs run together; None: one on each GPU, or one.

  Returns:
    "done", "failed" (some jobs) or "stopped"; and the paragraph of what was
    found, "" where nothing can be said.
  """
  with folder_lock.held(folder) as lock:
    jobs, cells = study_jobs.plan(study)
    journal = Journal(folder)
    environments = _environments(at_once)
    runner = Runner(
      folder, program, jobs, journal, environments, study.select_by, lock
    )
    if runner.run():
      return "stopped", ""
    found = results.gather(study, cells, journal, folder)
    text = page.write(folder, study, jobs, cells, journal, found)
    failed = [job for job in jobs if not journal.done(job.name)]
    for job in failed:
      logging.error("Not done: %s", job.told)
    if failed:
      logging.error(
        "%s of %d not done. The same command tries them again.",
        counted(len(failed), "job"),
        len(jobs),
      )
    return ("failed" if failed else "done"), text


def _environments(at_once):
  """Returns the variables of each of the processes that run together."""
  devices = _gpus()
  if devices:
    used = devices[: at_once or len(devices)]
    return [{"CUDA_VISIBLE_DEVICES": device} for device in used]
  count = at_once or 1
  if count == 1:
    return [{}]
  # Else each would start as many threads as there are cores.
  threads = str(max(1, (os.cpu_count() or 1) // count))
  names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
  return [dict.fromkeys(names, threads) for _ in range(count)]


def _gpus():
  """Returns the names of the GPUs as CUDA_VISIBLE_DEVICES has them."""
  import tensorflow as tf

  count = len(tf.config.list_physical_devices("GPU"))
  visible = os.environ.get("CUDA_VISIBLE_DEVICES")
  names = visible.split(",") if visible else map(str, range(count))
  return [name.strip() for name in names][:count]
