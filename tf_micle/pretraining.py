"""Puts the parts of pretraining together: network, objective, optimiser."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_micle import contrastive, heads, training_parts


@dataclasses.dataclass(frozen=True)
class PretrainOptions(training_parts.TrainingOptions):
  """What a pretraining run is made of; fields are named as their flags are."""

  temperature: float
  hidden_norm: bool
  micro_batch_size: int | None = None


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
  training_parts.seed_initialisers(options.seed)
  # Collectives do not go into the loop over micro-batches.
  local = options.micro_batch_size is not None
  encoder = training_parts.encoder(options, trains=True, local_batch_norm=local)
  width = training_parts.feature_width(encoder)
  head = training_parts.projection_head(options, width, local_batch_norm=local)
  optimizer, l2 = training_parts.optimizer(
    options,
    encoder.trainable_variables + head.trainable_variables,
    steps_per_epoch=steps_per_epoch,
    train_steps=train_steps,
  )
  parts = {"encoder": encoder, "projection_head": head, "optimizer": optimizer}
  if probe_outputs:
    parts["probe"] = heads.linear_head(probe_outputs)
    parts["probe"].build((None, width))
    parts["probe_optimizer"] = tf.keras.optimizers.Adam()
    parts["probe_optimizer"].build(parts["probe"].trainable_variables)
  model = contrastive.ContrastiveModel(
    encoder,
    head,
    photometry_options=training_parts.photometry_options(options),
    temperature=options.temperature,
    normalize=options.hidden_norm,
    l2=l2,
    probe=parts.get("probe"),
    micro_batch_size=options.micro_batch_size,
    seed=options.seed,
  )
  model.compile(optimizer, parts.get("probe_optimizer"))
  return model, parts
