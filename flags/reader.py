"""Reads the command line once: parsed, checked, frozen."""

from __future__ import annotations

import collections
import math
import os
import re

from absl import flags

# Each import defines the flags of one concern.
from flags import augmentation, data, model, run, training

FLAGS = flags.FLAGS
MODULES = (run, data, augmentation, model, training)

_DEMO_RECIPE = os.path.join(os.path.dirname(__file__), "recipes", "demo.flags")

# What a number must be, where its flag's own bounds cannot say it.
_RANGES = {
  "min_crop_area": ("0 < min_crop_area <= 1", lambda x: 0 < x <= 1),
  "rotation_degrees": ("0 <= rotation_degrees <= 180", lambda x: 0 <= x <= 180),
  "width_multiplier": ("0 < width_multiplier <= 16", lambda x: 0 < x <= 16),
  "sk_ratio": ("0 <= sk_ratio <= 1", lambda x: 0 <= x <= 1),
  "batch_norm_decay": ("0 <= batch_norm_decay < 1", lambda x: 0 <= x < 1),
  "temperature": ("a finite temperature > 0", lambda x: 0 < x < math.inf),
  "learning_rate": ("a finite learning_rate > 0", lambda x: 0 < x < math.inf),
  "warmup_epochs": ("a finite warmup_epochs", math.isfinite),
  "weight_decay": ("a finite weight_decay", math.isfinite),
  "color_jitter_strength": ("a finite color_jitter_strength", math.isfinite),
  "momentum": ("0 <= momentum < 1", lambda x: 0 <= x < 1),
  "train_steps": ("train_steps >= 0, or unset", lambda x: x >= 0),
}
# The first one says in steps what the second one says in epochs.
_EITHER_OR = {
  "train_steps": "train_epochs",
  "checkpoint_steps": "checkpoint_epochs",
}


class UsageError(ValueError):
  """What is wrong with a command line; `findings` has a line for each fault."""

  def __init__(self, findings):
    super().__init__("\n".join(findings))
    self.findings = findings


def parse(argv):
  """Parses a command line, going on past faults to find them all.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The positional arguments, the program's name first.

  Raises:
    UsageError: naming every unknown flag and every value that does not parse.
  """
  argv, findings = list(argv), []
  while True:
    try:
      rest = FLAGS(argv)
      break
    except flags.UnrecognizedFlagError as error:
      findings.append(str(error))
      bad = error.flagname
    except flags.Error as error:
      findings.append(str(error))
      bad = _named(str(error))
    kept = _without(argv, bad)
    if kept == argv:
      break
    argv = kept
  if not findings and len(rest) > 1:
    findings = [f"Expected flags only. Received: {' '.join(rest[1:])}"]
  if findings:
    raise UsageError(findings)
  return rest


def options():
  """Returns every flag's value, frozen, and what is wrong with them together.

  With neither --data_dir nor --dataset the built-in demo is meant: flags that
  the user did not set then come from recipes/demo.flags.

  Returns:
    A named tuple with a field for each flag, and `demo`, a bool; and a list of
    findings, a line each, empty where all is well.
  """
  demo = FLAGS.data_dir is None and FLAGS.dataset is None
  if demo:
    _fill_unset(_DEMO_RECIPE)
    if FLAGS.model_dir is None:
      method = "micle" if FLAGS.use_micle else "simclr"
      FLAGS.model_dir = os.path.join("runs", f"demo-{FLAGS.mode}-{method}")
  values = {f.name: f.value for f in _ours()}
  values["resnet_depth"] = int(values["resnet_depth"])
  fields = sorted(values) + ["demo"]
  frozen = collections.namedtuple("Options", fields)(**values, demo=demo)
  return frozen, _findings(values)


def _ours():
  by_module = FLAGS.flags_by_module_dict()
  return [f for module in MODULES for f in by_module[module.__name__]]


def _fill_unset(recipe):
  """Takes from a flag file what the command line did not set."""
  lines = FLAGS.read_flags_from_files([f"--flagfile={recipe}"])
  for line in lines:
    name, _, value = line.lstrip("-").partition("=")
    flag = FLAGS[name] if name in FLAGS else FLAGS[name.removeprefix("no")]
    other = _EITHER_OR.get(name)
    if not flag.present and not (other and FLAGS[other].present):
      flag.parse(value or str(name in FLAGS).lower())


def _findings(v):
  """Returns a line for each value, or pair of values, that cannot work."""
  findings = []

  def expect(condition, what, *names):
    if not condition:
      came = ", ".join(f"--{name}={v[name]}" for name in names)
      findings.append(f"Expected {what}. Received: {came}")

  for name, (what, holds) in _RANGES.items():
    expect(v[name] is None or holds(v[name]), what, name)
  for steps, epochs in _EITHER_OR.items():
    both = FLAGS[steps].present and FLAGS[epochs].present
    expect(not both, f"--{steps} or --{epochs}, not both", steps, epochs)
  expect(
    v["dataset"] or not v["patient_feature"],
    "--patient_feature together with --dataset only; bag TFRecords have "
    "patients already",
    "patient_feature",
  )
  expect(
    v["checkpoint"] is None or _may_be_checkpoint(v["checkpoint"]),
    "--checkpoint to be a run's folder or a checkpoint in it",
    "checkpoint",
  )
  if not v["model_dir"]:
    expect(False, "--model_dir, the folder of the run", "model_dir")
  else:
    expect(
      os.path.isdir(v["model_dir"]) or not os.path.exists(v["model_dir"]),
      "--model_dir to be a folder, or a name that is free",
      "model_dir",
    )
    expect(
      _writable(v["model_dir"]),
      "--model_dir to be where this user may write",
      "model_dir",
    )
  return findings


def _writable(path):
  """Whether `path`, or the nearest folder above it that exists, is writable."""
  path = os.path.abspath(path)
  while not os.path.exists(path):
    path = os.path.dirname(path)
  return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)


def _may_be_checkpoint(path):
  markers = (
    os.path.join(path, "checkpoints", "checkpoint"),
    os.path.join(path, "checkpoint"),
    path + ".index",
  )
  return any(os.path.exists(marker) for marker in markers)


def _named(message):
  """Returns the flag that an error of absl's names, or None."""
  match = re.search(r"--?(?:no)?([A-Za-z_]\w*)", message)
  return match and match.group(1)


def _without(argv, name):
  """Drops the arguments that set the flag `name`."""
  if name is None:
    return argv
  pattern = re.compile(rf"--?(no)?{re.escape(name)}(=.*)?$")
  kept, drop_value = [], False
  for argument in argv:
    if drop_value and not argument.startswith("-"):
      drop_value = False
      continue
    drop_value = False
    if pattern.match(argument):
      drop_value = "=" not in argument
    else:
      kept.append(argument)
  return kept
