"""Puts the parts of pretraining together: network, objective, optimiser."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_micle import (
  contrastive,
  heads,
  optimizers,
  photometry,
  resnet,
  schedules,
)

# SimCLR's encoder has a 3 x 3 stem without pooling up to this image size.
_SMALL_IMAGE_SIZE = 32


@dataclasses.dataclass(frozen=True)
class PretrainOptions:
  """What a pretraining run is made of; fields are named as their flags are."""

  resnet_depth: int
  width_multiplier: float
  sk_ratio: float
  image_size: int
  batch_norm_decay: float
  proj_head_mode: str
  proj_out_dim: int
  num_proj_layers: int
  temperature: float
  hidden_norm: bool
  color_jitter_strength: float
  use_blur: bool
  optimizer: str
  learning_rate: float
  learning_rate_scaling: str
  warmup_epochs: float
  momentum: float
  weight_decay: float
  train_batch_size: int
  seed: int


def build(options, *, steps_per_epoch, train_steps, probe_outputs=0):
  """Builds what a run trains, under the current strategy's scope.

  Initial weights are fixed by the seed.

  Args:
    options: `PretrainOptions`.
    steps_per_epoch: what `warmup_epochs` counts in.
    train_steps: where the learning rate ends.
    probe_outputs: classes of the online linear probe; 0 for no probe.

  Returns:
    A compiled `contrastive.ContrastiveModel`, and a dict of the parts whose
    state is the run's: models by name, optimisers built.
  """
  _seed_initialisers(options.seed)
  sync = tf.distribute.get_strategy().num_replicas_in_sync > 1
  encoder = resnet.resnet(
    depth=options.resnet_depth,
    width_multiplier=options.width_multiplier,
    sk_ratio=options.sk_ratio,
    small_stem=options.image_size <= _SMALL_IMAGE_SIZE,
    batch_norm_decay=options.batch_norm_decay,
    sync_batch_norm=sync,
  )
  width = encoder.output["final_avg_pool"].shape[-1]
  head = heads.projection_head(
    width,
    mode=options.proj_head_mode,
    out_dim=options.proj_out_dim,
    num_layers=options.num_proj_layers,
    batch_norm_decay=options.batch_norm_decay,
    sync_batch_norm=sync,
  )
  optimizer, l2 = _optimizer(options, steps_per_epoch, train_steps)
  optimizer.build(encoder.trainable_variables + head.trainable_variables)
  parts = {"encoder": encoder, "projection_head": head, "optimizer": optimizer}
  if probe_outputs:
    parts["probe"] = heads.linear_head(probe_outputs)
    parts["probe"].build((None, width))
    parts["probe_optimizer"] = tf.keras.optimizers.Adam()
    parts["probe_optimizer"].build(parts["probe"].trainable_variables)
  model = contrastive.ContrastiveModel(
    encoder,
    head,
    photometry_options=_photometry_options(options),
    temperature=options.temperature,
    normalize=options.hidden_norm,
    l2=l2,
    probe=parts.get("probe"),
    seed=options.seed,
  )
  model.compile(optimizer, parts.get("probe_optimizer"))
  return model, parts


def _seed_initialisers(seed):
  """Fixes what Keras's initialisers draw, and leaves no global TF seed.

  With a global seed of 0, `tf.data.Dataset.shuffle` refuses a tensor as seed.
  """
  tf.keras.utils.set_random_seed(seed)
  tf.random.set_seed(None)


def _photometry_options(options):
  """SimCLR's: without jitter there is no loss of colours either."""
  defaults = photometry.PhotometryOptions()
  jitter, blur = options.color_jitter_strength, options.use_blur
  return photometry.PhotometryOptions(
    color_jitter_strength=jitter,
    grayscale_probability=defaults.grayscale_probability * (jitter > 0),
    blur_probability=defaults.blur_probability * blur,
  )


def _optimizer(options, steps_per_epoch, train_steps):
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
    rate,
    momentum=options.momentum,
    weight_decay=options.weight_decay,
  )
