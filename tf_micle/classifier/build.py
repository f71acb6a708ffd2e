"""Classifier of a run: network, loss and optimiser."""

from __future__ import annotations

from tf_micle.classifier import freezing, pooling
from tf_micle.classifier.model import Classifier
from tf_micle.encoder import heads
from tf_micle.encoder.build import (
  build_encoder,
  build_projection_head,
  feature_width,
  seed_initialisers,
)
from tf_micle.optimization.build import build_optimizer
from tf_micle.options import UNITS
from tf_micle.views.photometry_options import PhotometryOptions

CLASS_WEIGHTS = ("none", "balanced")


def build_classifier(
  options,
  *,
  task,
  num_classes,
  steps_per_epoch,
  train_steps,
  class_weights=None,
):
  """Builds what a run trains, under the current strategy's scope.

  Initial weights are fixed by the seed.

  Args:
    options: `options.FinetuneOptions`.
    task: 'multi_class' or 'multi_label'.
    num_classes: classes or findings.
    steps_per_epoch: what `warmup_epochs` counts in.
    train_steps: where the learning rate ends.
    class_weights: with `options.class_weights` 'balanced', those of
      `supervised.balanced_class_weights`; else None.

  Returns:
    A compiled `model.Classifier`, and a dict of the parts whose state is
    the run's: those of `build_network`; 'optimizer', built, which counts the
    run's steps; and 'encoder_optimizer' where the encoder has other steps, or
    another rate, than the head.

  Raises:
    ValueError: if an option is none that there is.
  """
  if options.class_weights not in CLASS_WEIGHTS:
    raise ValueError(
      f"Expected class_weights in {CLASS_WEIGHTS}. "
      f"Received: class_weights={options.class_weights!r}"
    )
  if (options.class_weights == "balanced") != (class_weights is not None):
    raise ValueError(
      "Expected weights where class_weights is 'balanced', and only there. "
      f"Received: class_weights={options.class_weights!r}, {class_weights}"
    )
  model, parts = build_network(
    options, task=task, num_classes=num_classes, trains=True
  )
  freezing.freeze(
    parts["encoder"],
    parts.get("projection_head"),
    after_block=options.fine_tune_after_block,
    layer=options.ft_proj_selector,
  )
  probe_steps = options.linear_probe_steps
  apart = probe_steps > 0 or options.encoder_rate != 1
  parts["optimizer"], l2 = build_optimizer(
    options,
    model.head_variables if apart else model.trainable_variables,
    steps_per_epoch=steps_per_epoch,
    train_steps=train_steps,
    first_steps=probe_steps,
    scale_loss=not apart,
  )
  if apart:
    # It counts its own steps: Adam's bias correction begins with the encoder.
    parts["encoder_optimizer"], _ = build_optimizer(
      options,
      model.encoder_variables,
      steps_per_epoch=steps_per_epoch,
      train_steps=train_steps - probe_steps,
      factor=options.encoder_rate,
    )
  model.compile(
    parts["optimizer"],
    parts.get("encoder_optimizer"),
    linear_probe_steps=probe_steps,
    l2=l2,
    class_weights=class_weights,
  )
  return model, parts


def build_network(options, *, task, num_classes, trains=False):
  """Builds what evaluation and export need: all but the optimiser.

  Args:
    options: `options.FinetuneOptions`.
    task: as in `build_classifier`.
    num_classes: as in `build_classifier`.
    trains: as in `encoder.build.build_encoder`.

  Returns:
    A `model.Classifier` that is not compiled, and a dict of its parts with
    weights: 'encoder', 'head', 'projection_head' if features come from it,
    'pooling' if it is by attention.

  Raises:
    ValueError: if an option is none that there is.
  """
  if options.unit not in UNITS:
    raise ValueError(
      f"Expected unit in {UNITS}. Received: unit={options.unit!r}"
    )
  seed_initialisers(options.seed)
  encoder = build_encoder(options, trains=trains)
  parts = {"encoder": encoder}
  width = feature_width(encoder)
  layer = options.ft_proj_selector
  if layer:
    projection_head = build_projection_head(options, width)
    width = _layer_width(projection_head, layer)
    parts["projection_head"] = projection_head
  bag_pooling = None
  if options.unit == "bag":
    bag_pooling = pooling.BagPooling(options.bag_pooling)
    bag_pooling.build((None, None, width))
    if bag_pooling.weights:
      parts["pooling"] = bag_pooling
  parts["head"] = heads.linear_head(num_classes, options.zero_init_logits_layer)
  parts["head"].build((None, width))
  model = Classifier(
    encoder,
    parts["head"],
    task=task,
    photometry_options=PhotometryOptions.of(options),
    projection_head=parts.get("projection_head"),
    layer=layer,
    pooling=bag_pooling,
    uncertain=options.uncertain,
    focal_gamma=options.focal_gamma,
    seed=options.seed,
  )
  return model, parts


def _layer_width(projection_head, layer):
  if not 1 <= layer <= projection_head.num_layers:
    raise ValueError(
      f"Expected ft_proj_selector from 0 to {projection_head.num_layers}, the "
      "projection head's layers (0: the encoder's output). "
      f"Received: ft_proj_selector={layer}"
    )
  return projection_head.dense[layer - 1].units
