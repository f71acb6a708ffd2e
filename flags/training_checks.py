"""Checks of the flags of fine-tuning and of objectives."""

from __future__ import annotations


def _is_operating_point(text):
  name, _, goal = text.partition("=")
  try:
    return text == "youden" or (
      name in ("sensitivity", "specificity") and 0 < float(goal) < 1
    )
  except ValueError:
    return False


def finetuning(v, given, expect):
  """Expects what fine-tuning needs of its flags; see `checks.problems`."""
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
      v["fine_tune_after_block"] < 4 or name not in given or v[name] == unset,
      f"--fine_tune_after_block below 4 with --{name}: with 4 the encoder is "
      "frozen throughout, so it would do nothing",
      "fine_tune_after_block",
      name,
    )
  probe, steps = v["linear_probe_steps"], v["train_steps"]
  expect(
    probe <= 0 or steps is None or probe < steps,
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


def objective(v, expect):
  """Expects what the objective of pretraining needs of its flags."""
  expect(
    not (v["mask_same_patient"] and v["dataset"] and not v["patient_feature"]),
    "--patient_feature, which says whose image it is",
    "mask_same_patient",
    "dataset",
  )
