"""Provenance of a result: data, flags, seed, versions, devices."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from importlib import metadata

from tf_micle.runs import folder as run_folder
from tf_micle.system import distribution
from tf_micle.system.written_whole import write_json

_PACKAGES = (
  "tensorflow",
  "keras",
  "tf-keras",
  "tensorflow-addons",
  "tensorflow-datasets",
  "numpy",
  "scikit-learn",
)

# How far a run goes; it may go further than was asked for at first.
_ONLY_MORE = ("train_steps", "train_epochs")
# Flags that were taken out, with the value that changed nothing.
_GONE = {
  "decoupled_loss": False,
  "pair_by": None,
  "pair_across": None,
  "micle_weight": None,
}
_OTHER = {
  "data_digest": "other training data",
  "picked_on_digest": "other data to pick the checkpoint on",
}


def changed_flags(run_dir, *, flags, may_change):
  """Returns what differs from the flags of the run in `run_dir`, a line each.

  Args:
    run_dir: the run's folder.
    flags: dict of every flag's value.
    may_change: names of flags that may differ.

  Returns:
    Each other flag's name, what it was and what it is. Empty where the folder
    has no checkpoint yet.

  Raises:
    InputError: where there are checkpoints and no flags.
  """
  if not run_folder.has_checkpoint(run_dir):
    return []
  before = run_folder.read_flags(run_dir)
  if not before:
    path = os.path.join(run_dir, run_folder.FLAGS)
    raise run_folder.damaged(path, "checkpoints without it")
  mode, now = (one.get("mode") for one in (before, flags))
  if mode != now:
    return [f"a run of --mode={mode}, and --mode={now}"]
  changed = [
    f"--{name}: was {before[name]!r}, is {value!r}"
    for name, value in sorted(flags.items())
    if name in before and name not in may_change and before[name] != value
  ]
  changed += [
    f"--{name}: was {before[name]!r}, and there is no such flag any more"
    for name, off in _GONE.items()
    if before.get(name, off) != off
  ]
  return changed + [
    f"--{name}: was {before[name]!r}, is {flags[name]!r}, which is less"
    for name in _ONLY_MORE
    if flags[name] and before.get(name) and flags[name] < before[name]
  ]


def changed_data(run_dir, digests):
  """Returns which data differ from those of the run in `run_dir`.

  Args:
    run_dir: the run's folder.
    digests: what `digests` returned.
  """
  if not run_folder.has_checkpoint(run_dir):
    return []
  origin = read(run_dir)
  return [
    _OTHER[name]
    for name, value in digests.items()
    if origin.get(name, value) != value
  ]


def digests(source, picked_on=None):
  """Returns the digests of a run's data by name.

  Args:
    source: the training data, a `BagSource`.
    picked_on: the data that pick the checkpoint, or None.
  """
  found = {"data_digest": source.digest}
  if picked_on:
    found["picked_on_digest"] = picked_on.digest
  return found


def facts(source, strategy):
  """Returns what to put down of the data, a `BagSource`, and of the devices."""
  return {
    "data": source.name,
    "data_digest": source.digest,
    "devices": distribution.describe(strategy),
  }


def write(run_dir, *, flags, facts):
  """Writes `flags.json` and `provenance.json` into a run's folder.

  Args:
    run_dir: the folder; made if absent.
    flags: dict of every flag's value.
    facts: dict of what only the caller knows (data digest, device).
  """
  os.makedirs(run_dir, exist_ok=True)
  version = {"format_version": run_folder.FORMAT_VERSION}
  for name, content in (
    (run_folder.FLAGS, dict(sorted(flags.items()))),
    (run_folder.PROVENANCE, {**facts, **software()}),
  ):
    write_json(os.path.join(run_dir, name), {**version, **content})


def read(run_dir):
  """Returns what `write` put into a run's `provenance.json`; {} if nothing."""
  return run_folder.read_json(os.path.join(run_dir, run_folder.PROVENANCE))


def software():
  """Returns the versions of packages, and the revision of this code."""
  versions = {}
  for name in _PACKAGES:  # One that is not installed is not used.
    with contextlib.suppress(metadata.PackageNotFoundError):
      versions[name] = metadata.version(name)
  return {
    "versions": {"python": platform.python_version(), **versions},
    "git_revision": _git_revision(),
  }


def _git_revision():
  """The revision of this code, '+' after it where files differ, or None."""
  folder = os.path.dirname(os.path.abspath(__file__))

  def git(*arguments):
    return subprocess.run(
      ["git", "-C", folder, *arguments],
      capture_output=True,
      text=True,
      check=True,
    ).stdout.strip()

  try:
    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD") + "+" * bool(changed)
  except (OSError, subprocess.CalledProcessError):
    return None
