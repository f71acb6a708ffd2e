"""The parts that pretraining and fine-tuning build alike."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_micle import (
  heads,
  optimizers,
  photometry,
  precision,
  resnet,
  schedules,
)

# SimCLR's encoder has a 3 x 3 stem without pooling up to this image size.
_SMALL_IMAGE_SIZE = 32


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
  """What every training run is made of; fields are named as their flags are."""

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


def seed_initialisers(seed):
  """Fixes what Keras's initialisers draw, and leaves no global TF seed.

  With a global seed of 0, `tf.data.Dataset.shuffle` refuses a tensor as seed.
  """
  tf.keras.utils.set_random_seed(seed)
  tf.random.set_seed(None)


def encoder(options, *, trains=False, local_batch_norm=False):
  """Returns a new encoder, under the current strategy; see `resnet.resnet`.

  Args:
    options: `TrainingOptions`.
    trains: whether it computes in `options.precision` and as `options.remat`
      says. What evaluates computes in float32, the same on every device.
    local_batch_norm: whether BatchNorm's statistics stay on a replica.
  """
  return resnet.resnet(
    depth=options.resnet_depth,
    width_multiplier=options.width_multiplier,
    sk_ratio=options.sk_ratio,
    small_stem=options.image_size <= _SMALL_IMAGE_SIZE,
    batch_norm_decay=options.batch_norm_decay,
    sync_batch_norm=_several_replicas() and not local_batch_norm,
    dtype=precision.policy(options.precision) if trains else None,
    remat=options.remat and trains,
  )


def feature_width(encoder):
  """Returns f of the encoder's 'final_avg_pool' (n, f)."""
  return encoder.output["final_avg_pool"].shape[-1]


def projection_head(options, width, *, local_batch_norm=False):
  """Returns a new head for features (n, width); see `heads.ProjectionHead`.

  Args:
    options: `TrainingOptions`.
    width: of the features.
    local_batch_norm: as in `encoder`.
  """
  return heads.projection_head(
    width,
    mode=options.proj_head_mode,
    out_dim=options.proj_out_dim,
    num_layers=options.num_proj_layers,
    batch_norm_decay=options.batch_norm_decay,
    sync_batch_norm=_several_replicas() and not local_batch_norm,
  )


def photometry_options(options):
  """SimCLR's: without jitter there is no loss of colours either."""
  defaults = photometry.PhotometryOptions()
  jitter, blur = options.color_jitter_strength, options.use_blur
  return photometry.PhotometryOptions(
    color_jitter_strength=jitter,
    grayscale_probability=defaults.grayscale_probability * (jitter > 0),
    blur_probability=defaults.blur_probability * blur,
  )


def optimizer(options, variables, *, steps_per_epoch, train_steps):
  """Returns an optimiser built for `variables`, and its L2 coefficient.

  Args:
    options: `TrainingOptions`.
    variables: what it will update.
    steps_per_epoch: what `warmup_epochs` counts in.
    train_steps: where the learning rate ends.
  """
  peak = schedules.scaled_learning_rate(
    options.learning_rate,
    batch_size=options.train_batch_size,
    scaling=options.learning_rate_scaling,
  )
  rate = schedules.WarmUpCosine(
    peak,
    warmup_steps=round(options.warmup_epochs * steps_per_epoch),
    total_steps=train_steps,
  )
  return optimizers.make_optimizer(
    options.optimizer,
    variables,
    rate,
    momentum=options.momentum,
    weight_decay=options.weight_decay,
    scale_loss=options.precision == "float16",
  )


def _several_replicas():
  return tf.distribute.get_strategy().num_replicas_in_sync > 1
