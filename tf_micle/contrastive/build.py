"""Contrastive model of a run: network, objective and optimiser."""

from __future__ import annotations

import tensorflow as tf

from tf_micle.contrastive.model import ContrastiveModel
from tf_micle.encoder import heads
from tf_micle.encoder.build import (
  build_encoder,
  build_projection_head,
  feature_width,
  seed_initialisers,
)
from tf_micle.optimization.build import build_optimizer
from tf_micle.views.photometry_options import PhotometryOptions


def build_contrastive_model(
  options, *, steps_per_epoch, train_steps, probe_outputs=0
):
  """Builds what a run trains, under the current strategy's scope.

  Initial weights are fixed by the seed.

  Args:
    options: `options.PretrainOptions`.
    steps_per_epoch: what `warmup_epochs` counts in.
    train_steps: where the learning rate ends.
    probe_outputs: classes of the online linear probe; 0 for no probe.

  Returns:
    A compiled `model.ContrastiveModel`, and a dict of the parts whose
    state is the run's: models by name, optimisers built.
  """
  seed_initialisers(options.seed)
  # Collectives do not go into the loop over micro-batches.
  local = options.micro_batch_size is not None
  encoder = build_encoder(options, trains=True, local_batch_norm=local)
  width = feature_width(encoder)
  head = build_projection_head(options, width, local_batch_norm=local)
  optimizer, l2 = build_optimizer(
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
  model = ContrastiveModel(
    encoder,
    head,
    photometry_options=PhotometryOptions.of(options),
    temperature=options.temperature,
    normalize=options.hidden_norm,
    loss_reduction=options.loss_reduction,
    mask_same_patient=options.mask_same_patient,
    l2=l2,
    probe=parts.get("probe"),
    micro_batch_size=options.micro_batch_size,
    seed=options.seed,
  )
  model.compile(optimizer, parts.get("probe_optimizer"))
  return model, parts
