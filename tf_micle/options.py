"""Options that shape a training run; fields are named as their flags are.

They are read from the command line once, recorded in a run's `flags.json`, and
built from it again when the run is opened.
"""

from __future__ import annotations

import dataclasses

# What a label says: one class, or each finding's presence; and of what.
TASKS = ("multi_class", "multi_label")
UNITS = ("image", "bag")


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
  """What every training run is made of: network, photometry, optimiser."""

  resnet_depth: int
  width_multiplier: float
  sk_ratio: float
  image_size: int
  batch_norm_decay: float
  proj_head_mode: str
  proj_out_dim: int
  num_proj_layers: int
  color_jitter_strength: float
  use_blur: bool
  optimizer: str
  learning_rate: float
  learning_rate_scaling: str
  warmup_epochs: float
  momentum: float
  weight_decay: float
  train_batch_size: int
  precision: str
  remat: bool
  seed: int


@dataclasses.dataclass(frozen=True)
class PretrainOptions(TrainingOptions):
  """What a pretraining run is made of."""

  temperature: float
  hidden_norm: bool
  loss_reduction: str = "pairs"
  micro_batch_size: int | None = None
  mask_same_patient: bool = False
  # Runs that were saved before there were others are SimCLR's.
  resnet_variant: str = "simclr"
  warmup_steps: int | None = None


@dataclasses.dataclass(frozen=True)
class FinetuneOptions(TrainingOptions):
  """What a fine-tuning run is made of."""

  ft_proj_selector: int
  fine_tune_after_block: int
  zero_init_logits_layer: bool
  unit: str
  bag_pooling: str
  uncertain: str
  class_weights: str
  focal_gamma: float
  resnet_variant: str = "simclr"
  linear_probe_steps: int = 0
  encoder_rate: float = 1.0
  warmup_steps: int | None = None
