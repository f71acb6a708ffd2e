"""Where a result comes from: data, flags, seed, versions, device."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata

from tf_micle.runs import checkpoint
from tf_micle.system import distribution
from tf_micle.system.written_whole import write_json

_PACKAGES = (
  "tensorflow",
  "keras",
  "tensorflow-addons",
  "tensorflow-datasets",
  "numpy",
  "scikit-learn",
)

# What runs did whose flags.json does not name these yet.
_ONCE = {
  "precision": "float32",
  "read_parts": 1,
  "loss_reduction": "anchors",
  "min_object_covered": 0.0,
}
# How far a run goes; it may go further than was asked for at first.
_ONLY_MORE = ("train_steps", "train_epochs")
_OTHER = {
  "data_digest": "other training data",
  "picked_on_digest": "other data to pick the checkpoint on",
}


def goes_on(run_dir):
  """Whether a run in this folder has a checkpoint to go on from."""
  return bool(checkpoint.saved(os.path.join(run_dir, checkpoint.FOLDER)))


def changes(run_dir, *, flags, may_change, facts):
  """Returns what differs from the run that goes on in `run_dir`.

  Args:
    run_dir: the run's folder.
    flags: dict of every flag's value.
    may_change: names of flags that may differ.
    facts: what must be as `provenance.json` has it; see `digests`.

  Returns:
    A line for each other flag: its name, what it was and what it is; and one
    for other data. Empty where the folder has no checkpoint yet.
  """
  if not goes_on(run_dir):
    return []
  before = {**_ONCE, **_read_json(os.path.join(run_dir, "flags.json"))}
  changed = [
    f"--{name}: was {before[name]!r}, is {value!r}"
    for name, value in sorted(flags.items())
    if name in before and name not in may_change and before[name] != value
  ]
  changed += [
    f"--{name}: was {before[name]!r}, is {flags[name]!r}, which is less"
    for name in _ONLY_MORE
    if flags[name] and before.get(name) and flags[name] < before[name]
  ]
  origin = read(run_dir)
  for name, value in facts.items():
    if origin.get(name, value) != value:
      changed.append(_OTHER[name])
  return changed


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
  provenance = {**facts, **software()}
  write_json(os.path.join(run_dir, "flags.json"), dict(sorted(flags.items())))
  write_json(os.path.join(run_dir, "provenance.json"), provenance)


def read(run_dir):
  """Returns what `write` put into a run's `provenance.json`; {} if nothing."""
  return _read_json(os.path.join(run_dir, "provenance.json"))


def read_flags(run_dir):
  """Returns what `write` put into a run's `flags.json`; {} if nothing."""
  return _read_json(os.path.join(run_dir, "flags.json"))


def software():
  """Returns the versions of packages, and the revision of this code."""
  versions = {name: metadata.version(name) for name in _PACKAGES}
  return {
    "versions": {"python": platform.python_version(), **versions},
    "git_revision": _git_revision(),
  }


def _read_json(path):
  """Returns what a file holds; {} where there is none.

  Raises:
    ValueError: where it is not what a run writes.
  """
  if not os.path.exists(path):
    return {}
  try:
    with open(path, encoding="utf-8") as file:
      return json.load(file)
  except ValueError as error:
    raise ValueError(
      f"Expected {path} as a run writes it. Received: {error}"
    ) from error


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
