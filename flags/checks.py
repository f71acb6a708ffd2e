"""Checks of the flags' values, alone and together."""

from __future__ import annotations

import importlib.util
import itertools
import math
import os

from flags.modes import ATLAS, USES_RUN

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
  "micle_weight": ("0 <= micle_weight <= 1, or unset", lambda x: 0 <= x <= 1),
  "label_fraction": ("0 < label_fraction <= 1", lambda x: 0 < x <= 1),
  "encoder_rate": ("a finite encoder_rate > 0", lambda x: 0 < x < math.inf),
  "focal_gamma": ("a finite focal_gamma", math.isfinite),
  "specificity": ("0 < specificity < 1", lambda x: 0 < x < 1),
}
# Of a prediction of listed images; an atlas takes its images from records.
_LISTED = frozenset(
  "manifest image_root image_column patient_column bag_column max_side window "
  "frames on_bad_image output embeddings tensorboard_projector unit".split()
)
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
  for name in ("equalize", "elastic"):
    expect(
      not v[name] or importlib.util.find_spec("tensorflow_addons"),
      f"TensorFlow Addons for --{name}, which Python 3.9 to 3.11 have",
      name,
    )
  expect(
    v["resnet_variant"] == "simclr" or not v["sk_ratio"],
    "--sk_ratio with --resnet_variant=simclr only",
    "sk_ratio",
    "resnet_variant",
  )
  if v["mode"] == "finetune":
    _check_finetuning(v, given, expect)
  elif v["mode"] == "pretrain":
    expect(
      v["optimizer"] != "adamw",
      "lars, momentum or adam for pretraining",
      "optimizer",
    )
    _check_objective(v, expect)
  elif v["checkpoint"] and v["model_dir"]:
    expect(
      _inside(v["checkpoint"], v["model_dir"]),
      "a checkpoint of the run: whom it saw and its classes are the run's",
      "checkpoint",
      "model_dir",
    )
  if v["mode"] == "study":
    expect(v["study"], "--study, the study's file", "study")
  if v["mode"] == "predict":
    found += _atlas(v, given) if v["atlas"] else _outputs(v, given)
  if v["mode"] == "export":
    expect(v["export_dir"], "--export_dir, a folder to export to", "export_dir")
    expect(
      not v["export_dir"] or _writable(v["export_dir"]),
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
  return found + _model_dir(v, runs)


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


def _is_operating_point(text):
  name, _, goal = text.partition("=")
  try:
    return text == "youden" or (
      name in ("sensitivity", "specificity") and 0 < float(goal) < 1
    )
  except ValueError:
    return False


def _check_finetuning(v, given, expect):
  expect(
    _is_operating_point(v["operating_point"]),
    "youden, or sensitivity=S or specificity=S with 0 < S < 1",
    "operating_point",
  )
  expect(v["unit"] != "patient", "--unit=image or bag to fine-tune", "unit")
  picks = v["select_by"] != "none"
  expect(
    picks or v["sweep"] is None,
    "a score to pick the best of a sweep by",
    "sweep",
    "select_by",
  )
  expect(
    picks or not v["early_stopping"],
    "a score to stop early by",
    "early_stopping",
    "select_by",
  )
  for name in {"operating_point", "calibrate"} & given:
    expect(picks, f"a validation split for --{name}", name, "select_by")
  for name, unset in (("linear_probe_steps", 0), ("encoder_rate", 1)):
    expect(
      v["fine_tune_after_block"] < 4 or v[name] == unset,
      f"--fine_tune_after_block below 4 with --{name}: with 4 the encoder is "
      "frozen throughout, so it would do nothing",
      "fine_tune_after_block",
      name,
    )
  probe, steps = v["linear_probe_steps"], v["train_steps"]
  expect(
    not probe or steps is None or probe < steps,
    "--linear_probe_steps below --train_steps, which count both phases",
    "linear_probe_steps",
    "train_steps",
  )
  for name in {"bag_pooling", "bag_views"} & given:
    expect(v["unit"] == "bag", f"--{name} with --unit=bag only", name, "unit")
  expect(
    v["checkpoint_parts"] != "encoder" or not v["ft_proj_selector"],
    "--checkpoint_parts=encoder_and_head to fine-tune from a layer of the head",
    "checkpoint_parts",
    "ft_proj_selector",
  )
  layers = {"none": 0, "linear": 1, "nonlinear": v["num_proj_layers"]}
  most = layers[v["proj_head_mode"]]
  expect(
    v["ft_proj_selector"] <= most,
    f"--ft_proj_selector from 0 to {most}, the projection head's layers",
    "ft_proj_selector",
    "proj_head_mode",
    "num_proj_layers",
  )


def _check_objective(v, expect):
  for name in ("pair_by", "pair_across", "micle_weight"):
    if v[name] is not None:
      what = f"--{name} together with --use_micle"
      expect(v["use_micle"], what, name, "use_micle")
      what = f"--{name} with --views_per_bag=2 only"
      expect(v["views_per_bag"] == 2, what, name, "views_per_bag")
  expect(
    v["pair_by"] is None or v["pair_by"] != v["pair_across"],
    "different columns",
    "pair_by",
    "pair_across",
  )
  expect(
    not (v["mask_same_patient"] and v["dataset"] and not v["patient_feature"]),
    "--patient_feature, which says whose image it is",
    "mask_same_patient",
    "dataset",
  )


def _inside(path, folder):
  path, folder = os.path.realpath(path), os.path.realpath(folder)
  return path == folder or path.startswith(folder + os.sep)


def _model_dir(v, runs):
  path, expected = v["model_dir"], []
  if not path:
    expected.append("--model_dir, the folder of the run")
  elif v["mode"] in USES_RUN:
    if not os.path.isfile(os.path.join(path, runs.FLAGS)):
      any_run = v["mode"] == "export" or v["atlas"]
      kind = "run" if any_run else "fine-tuned run"
      expected.append(
        f"--model_dir to be the folder of a {kind}, with its {runs.FLAGS}"
      )
  elif os.path.exists(path) and not os.path.isdir(path):
    expected.append("--model_dir to be a folder, or a name that is free")
  reads = v["mode"] in ("export", "predict")
  if path and not expected and not reads and not _writable(path):
    expected.append("--model_dir to be where this user may write")
  return [f"Expected {what}. Received: --model_dir={path}" for what in expected]


def _atlas(v, given):
  """Says what is wrong with the flags of an atlas."""
  path, expected = v["atlas"], []
  if not path.endswith(".html"):
    expected.append("a file that ends in .html")
  if os.path.exists(path):
    expected.append("new: remove what is there, or name another")
  elif not _writable(os.path.dirname(path) or "."):
    expected.append("where this user may write")
  found = [
    f"Expected --atlas to be {what}. Received: --atlas={path}"
    for what in expected
  ]
  others = given & _LISTED
  if others:
    found.append(
      "Expected --atlas alone: it shows records, the images of --eval_split of "
      "--data_dir. Received: " + ", ".join(f"--{n}" for n in sorted(others))
    )
  return found


def _outputs(v, given):
  """Says what is wrong with the names of what prediction writes."""
  found = [
    f"Expected --{name} with --atlas only. Received: --{name}={v[name]}, "
    "--atlas=None"
    for name in sorted(given & set(ATLAS))
  ]
  endings = {"output": (".csv", ".parquet"), "embeddings": (".npz",)}
  for name, allowed in endings.items():
    path = v[name]
    wanted = name == "output" or path
    if wanted and not (path or "").endswith(allowed):
      found.append(
        f"Expected --{name}, a file that ends in {' or '.join(allowed)}. "
        f"Received: --{name}={path}"
      )
  for name in endings:
    if v[name] and not _writable(os.path.dirname(v[name]) or "."):
      found.append(
        f"Expected --{name} to be where this user may write. "
        f"Received: --{name}={v[name]}"
      )
  name = "tensorboard_projector"
  if v[name] and not _writable(v[name]):
    found.append(
      f"Expected --{name} to be a folder where this user may write. Received: "
      f"--{name}={v[name]}"
    )
  names = [name for name in (*endings, name) if v[name]]
  found += [
    f"Expected --{one} and --{other} to be apart. Received: "
    f"--{one}={v[one]}, --{other}={v[other]}"
    for one, other in itertools.permutations(names, 2)
    if one in endings and _inside(v[other], v[one])
  ]
  return found


def _writable(path):
  """Whether `path`, or the nearest folder above it that exists, is writable."""
  path = os.path.abspath(path)
  while not os.path.exists(path):
    path = os.path.dirname(path)
  return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)
