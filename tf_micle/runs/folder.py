"""Layout of a run's folder; does not import TensorFlow."""

from __future__ import annotations

import json
import os
import re

from tf_micle.encoder.published import files, pickles
from tf_micle.system.input_error import InputError

FLAGS, PROVENANCE = "flags.json", "provenance.json"
TRAINED_ON, METRICS = "trained_on.json", "metrics.jsonl"
CHECKPOINTS, BEST, DAMAGED = "checkpoints", "best", "damaged"
EVALUATIONS = "eval"
FORMAT_VERSION = 1

# What runs did whose flags.json does not name these yet.
BEFORE = {
  "precision": "float32",
  "read_parts": 1,
  "loss_reduction": "anchors",
  "min_object_covered": 0.0,
  "resnet_variant": "simclr",
  "linear_probe_steps": 0,
  "encoder_rate": 1.0,
  "jit": "off",
  "warmup_steps": None,
  "mask_same_patient": False,
  "views_per_bag": 2,
}
_KINDS = {dict: "object", list: "list"}
_INDEX = re.compile(r"ckpt-([0-9]+)\.index")


def saved(folder):
  """Returns the run's checkpoints in a folder, the newest first."""
  names = os.listdir(folder) if os.path.isdir(folder) else []
  steps = [int(m[1]) for m in map(_INDEX.fullmatch, names) if m]
  return [
    os.path.join(folder, f"ckpt-{step}") for step in sorted(steps, reverse=True)
  ]


def step_of(path):
  """Returns the step in a checkpoint's name (ckpt-100), or None."""
  found = _INDEX.fullmatch(f"{os.path.basename(path)}.index")
  return int(found[1]) if found else None


def has_checkpoint(run_dir):
  """Whether a run in this folder has a checkpoint to resume from."""
  return bool(run_dir) and bool(saved(os.path.join(run_dir, CHECKPOINTS)))


def may_be_checkpoint(path):
  """Whether a path looks like a run's folder, one of checkpoints, or a prefix.

  Args:
    path: as `checkpoint.find` takes it.
  """
  names = os.listdir(path) if os.path.isdir(path) else []
  return (
    has_checkpoint(path)
    or os.path.exists(f"{path}.index")
    or any(name.endswith(".index") for name in names)
  )


def may_be_weights(path):
  """Whether a path looks like a checkpoint, or like weights of others.

  Args:
    path: also of a file, of a SavedModel's folder, or a remote one (gs://...).
  """
  return (
    may_be_checkpoint(path)
    or files.is_remote(path)
    or os.path.isfile(path)
    or files.kind(path) is not None
  )


def flags_to_start_from(path):
  """Returns the flags that weights to start from bring; {} where not known.

  Args:
    path: a run of ours as in `of_checkpoint`: all flags of the run; or of
      published weights as in `published.opening.open_weights`: flags of the
      network.

  Raises:
    InputError: where what is there cannot be read, or is of another network.
  """
  flags = flags_of_run(path)
  kind = None if flags else files.kind(path)
  if kind is None:
    return flags
  if kind in files.PICKLES:
    raise pickles.refusal(path)
  # TensorFlow takes seconds to import, and flags are read before that.
  from tf_micle.encoder.published import opening

  weights = opening.open_weights(path)
  return dict(weights.flags) if weights else {}


def flags_of_run(path):
  """Returns as `read_flags`, and {} for a file, which is no run's."""
  return {} if os.path.isfile(path) else read_flags(path)


def of_checkpoint(path):
  """Returns the folder of the run that a checkpoint belongs to.

  Args:
    path: a run's folder, a folder of checkpoints in it, or a checkpoint's
      prefix (RUN/checkpoints/ckpt-100).
  """
  folder = os.path.abspath(path)
  if not os.path.isdir(folder):
    folder = os.path.dirname(folder)
  if os.path.basename(folder) in (CHECKPOINTS, BEST):
    folder = os.path.dirname(folder)
  return folder


def best_or_newest(run_dir):
  """Returns where to look for the checkpoint to use: the best, if selected."""
  best = os.path.join(run_dir, BEST)
  return best if os.path.isdir(best) else run_dir


def read_flags(path):
  """Returns the flags of the run that `path` belongs to; {} where none is.

  Args:
    path: as in `of_checkpoint`.

  Raises:
    InputError: where flags.json is there and cannot be read.
  """
  flags = read_json(os.path.join(of_checkpoint(path), FLAGS))
  flags.pop("format_version", None)
  return {**BEFORE, **flags} if flags else {}


def read_json(path, kind=dict):
  """Returns what a file of a run holds; an empty one where there is no file.

  Args:
    path: of the file.
    kind: dict, which may state its format's version, or list.

  Raises:
    InputError: where it is damaged, or of a version to come.
  """
  try:
    with open(path, encoding="utf-8") as file:
      content = json.load(file)
  except FileNotFoundError:
    return kind()
  except OSError as error:
    raise InputError(
      f"Expected to read {path!r}. Received: {error.strerror}."
    ) from error
  except ValueError as error:
    raise damaged(path, f"what is not JSON ({error})") from error
  if not isinstance(content, kind):
    raise damaged(path, f"JSON that is no {_KINDS[kind]}")
  if kind is list:
    return content
  version = content.get("format_version", FORMAT_VERSION)
  if not isinstance(version, int) or version > FORMAT_VERSION:
    raise InputError(
      f"Expected format_version {FORMAT_VERSION} or less in {path!r}. "
      f"Received: {version!r}, which a newer version of this code wrote: "
      "update the code."
    )
  return content


_COPY = "Copy the run's folder again, or train anew in another --model_dir."


def damaged(path, received, remedy=_COPY):
  """Returns the error of a file of a run that is not as a run writes it."""
  return InputError(
    f"Expected {path!r} as a run writes it. Received: {received}. {remedy}"
  )
