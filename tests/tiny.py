"""The smallest run that is a run: for tests of the step and the command."""

import dataclasses

from absl import flags

import run
from tf_micle.options import FinetuneOptions, PretrainOptions

OPTIONS = PretrainOptions(
  resnet_depth=18,
  width_multiplier=0.0625,
  sk_ratio=0.0,
  image_size=16,
  batch_norm_decay=0.9,
  proj_head_mode="nonlinear",
  proj_out_dim=8,
  num_proj_layers=2,
  temperature=0.1,
  hidden_norm=True,
  micro_batch_size=None,
  color_jitter_strength=0.5,
  use_blur=True,
  optimizer="lars",
  learning_rate=0.5,
  learning_rate_scaling="none",
  warmup_epochs=0.0,
  momentum=0.9,
  weight_decay=1e-4,
  train_batch_size=4,
  precision="float32",
  remat=False,
  seed=0,
)
FLAGS = {
  field.name: getattr(OPTIONS, field.name)
  for field in dataclasses.fields(OPTIONS)
  if getattr(OPTIONS, field.name) is not None
}
# Most tests look at other things, and each check traces the network again.
FLAGS["health_checks"] = False
_SHARED = {
  field.name: FLAGS[field.name]
  for field in dataclasses.fields(FinetuneOptions)
  if field.name in FLAGS
}
FINETUNE_OPTIONS = FinetuneOptions(
  **{**_SHARED, "optimizer": "momentum", "learning_rate": 0.1},
  ft_proj_selector=0,
  fine_tune_after_block=-1,
  zero_init_logits_layer=False,
  unit="image",
  bag_pooling="attention",
  uncertain="ignore",
  class_weights="none",
  focal_gamma=0.0,
)


def options(**changes):
  """Returns OPTIONS with some fields changed."""
  return dataclasses.replace(OPTIONS, **changes)


def finetune_options(**changes):
  """Returns FINETUNE_OPTIONS with some fields changed."""
  return dataclasses.replace(FINETUNE_OPTIONS, **changes)


def given(mode):
  """Returns the names of FLAGS that a mode takes."""
  of_modes = {
    "pretrain": FLAGS,
    "finetune": _SHARED,
    # Seconds each time, and one test looks at them.
    "eval": {"heat_maps": False},
  }
  return of_modes.get(mode, {})


def command(**changes):
  """Runs `run.py` in this process with the mode's flags and `changes`.

  A change of None takes the flag out. Returns the exit status.
  """
  mode = changes.get("mode", "pretrain")
  values = given(mode)
  if mode in ("pretrain", "finetune"):
    values = {**values, "train_steps": 2, "log_steps": 1}
  values = {**values, **changes}
  arguments = [f"--{k}={v}" for k, v in values.items() if v is not None]
  flags.FLAGS.unparse_flags()
  try:
    return run.main(run.parse(["run.py", *arguments]))
  except SystemExit as stop:
    return stop.code
