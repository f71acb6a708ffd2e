"""Checks of the flags' values, alone and together."""

from __future__ import annotations

import math
import os

from flags import path_checks, training_checks
from flags.modes import USES_RUN

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
  "label_fraction": ("0 < label_fraction <= 1", lambda x: 0 < x <= 1),
  "encoder_rate": ("a finite encoder_rate > 0", lambda x: 0 < x < math.inf),
  "focal_gamma": ("a finite focal_gamma", math.isfinite),
  "specificity": ("0 < specificity < 1", lambda x: 0 < x < 1),
}
# The first one says in steps what the second one says in epochs.
EITHER_OR = {
  "train_steps": "train_epochs",
  "checkpoint_steps": "checkpoint_epochs",
  "warmup_steps": "warmup_epochs",
}


def out_of_range(name, value):
  """Returns a line if the number that a flag has cannot be, in a list."""
  what, holds = _RANGES.get(name, ("", None))
  if value is None or holds is None or holds(value):
    return []
  return [f"Expected {what}. Received: --{name}={value}"]


def problems(v, given, *, modes, runs):
  """Returns a line for each value, or pair of values, that cannot work.

  Args:
    v: dict of every flag's value.
    given: names of the flags that the user set.
    modes: dict of flag to the modes that use it.
    runs: `tf_micle.runs.folder`, which knows what a run's folder holds.
  """
  found = []

  def expect(condition, what, *names):
    if not condition:
      came = ", ".join(f"--{name}={v[name]}" for name in names)
      found.append(f"Expected {what}. Received: {came}")

  found += [fault for name in _RANGES for fault in out_of_range(name, v[name])]
  for steps, epochs in EITHER_OR.items():
    both = steps in given and epochs in given
    expect(not both, f"--{steps} or --{epochs}, not both", steps, epochs)
  for name in sorted(given):
    other = " or ".join(f"--mode={mode}" for mode in modes[name])
    what = f"--{name} with {other} only"
    if v["mode"] in USES_RUN:
      what += f"; --mode={v['mode']} takes what the run has"
    expect(v["mode"] in modes[name], what, "mode", name)
  expect(
    v["dataset"] or not v["patient_feature"],
    "--patient_feature together with --dataset only; bag TFRecords have "
    "patients already",
    "patient_feature",
  )
  expect(
    v["checkpoint"] is None
    or runs.may_be_checkpoint(v["checkpoint"])
    or (v["mode"] not in USES_RUN and runs.may_be_weights(v["checkpoint"]))
    or (v["mode"] not in USES_RUN and runs.has_checkpoint(v["model_dir"])),
    "--checkpoint to be a run's folder or a checkpoint in it"
    + ", or published weights" * (v["mode"] not in USES_RUN),
    "checkpoint",
  )
  expect(
    v["resnet_variant"] == "simclr" or not v["sk_ratio"],
    "--sk_ratio with --resnet_variant=simclr only",
    "sk_ratio",
    "resnet_variant",
  )
  if v["mode"] == "finetune":
    training_checks.finetuning(v, given, expect)
  elif v["mode"] == "pretrain":
    expect(
      v["optimizer"] != "adamw",
      "lars, momentum or adam for pretraining",
      "optimizer",
    )
    training_checks.objective(v, expect)
  elif v["checkpoint"] and v["model_dir"]:
    expect(
      path_checks.inside(v["checkpoint"], v["model_dir"]),
      "a checkpoint of the run: whom it saw and its classes are the run's",
      "checkpoint",
      "model_dir",
    )
  if v["mode"] == "study":
    expect(v["study"], "--study, the study's file", "study")
  if v["mode"] == "predict":
    found += (
      path_checks.atlas(v, given)
      if v["atlas"]
      else path_checks.outputs(v, given)
    )
  if v["mode"] == "export":
    expect(v["export_dir"], "--export_dir, a folder to export to", "export_dir")
    expect(
      not v["export_dir"] or path_checks.writable(v["export_dir"]),
      "--export_dir to be a folder where this user may write",
      "export_dir",
    )
  if v["show_pairs"]:
    folder = os.path.dirname(os.path.abspath(v["show_pairs"]))
    expect(
      os.path.isdir(folder) and os.access(folder, os.W_OK),
      "--show_pairs to be in a folder where this user may write",
      "show_pairs",
    )
    return found  # It needs no --model_dir.
  return found + path_checks.model_dir(v, runs)


def network_problems(v, starts_from):
  """Returns a line if the network is not that of the run to start from.

  Args:
    v: dict of every flag's value.
    starts_from: flags of what --checkpoint names, {} without one.
  """
  names = ["resnet_depth", "resnet_variant", "width_multiplier", "sk_ratio"]
  uses_head = v["mode"] == "pretrain" or v["ft_proj_selector"]
  if uses_head and v["checkpoint_parts"] != "encoder":
    names += _head_flags(starts_from)
  others = [n for n in names if n in starts_from and starts_from[n] != v[n]]
  if not others:
    return []
  was = ", ".join(f"--{name}={starts_from[name]}" for name in others)
  now = ", ".join(f"--{name}={v[name]}" for name in others)
  return [
    f"Expected the network of the weights to start from, {was}. Received: "
    f"{now}. Leave these flags out to take them from there"
  ]


def _head_flags(starts_from):
  """Returns the flags of a projection head that weights have."""
  tuned = starts_from.get("mode") == "finetune"
  if tuned and not starts_from.get("ft_proj_selector"):
    return []
  names = ["proj_head_mode", "proj_out_dim"]
  if starts_from.get("proj_head_mode") == "nonlinear":
    names.append("num_proj_layers")
  return names
