"""Optimiser of a run, built from its options."""

from __future__ import annotations

from tf_micle.optimization import optimizers, schedules


def build_optimizer(
  options,
  variables,
  *,
  steps_per_epoch,
  train_steps,
  first_steps=0,
  factor=1.0,
  scale_loss=True,
):
  """Returns an optimiser built for `variables`, and its L2 coefficient.

  Args:
    options: `options.TrainingOptions`.
    variables: what it will update.
    steps_per_epoch: what `warmup_epochs` counts in, where there are no
      `warmup_steps`.
    train_steps: where the learning rate ends.
    first_steps: of `schedules.WarmUpCosine`.
    factor: of the learning rate.
    scale_loss: False where float16 gives none of its gradients.
  """
  peak = schedules.scaled_learning_rate(
    options.learning_rate,
    batch_size=options.train_batch_size,
    scaling=options.learning_rate_scaling,
  )
  warmup_steps = options.warmup_steps
  if warmup_steps is None:
    warmup_steps = round(options.warmup_epochs * steps_per_epoch)
  rate = schedules.WarmUpCosine(
    peak * factor,
    warmup_steps=warmup_steps,
    total_steps=train_steps,
    first_steps=first_steps,
  )
  return optimizers.make_optimizer(
    options.optimizer,
    variables,
    rate,
    momentum=options.momentum,
    weight_decay=options.weight_decay,
    scale_loss=scale_loss and options.precision == "float16",
  )
