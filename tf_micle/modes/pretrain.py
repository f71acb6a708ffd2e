"""Pretraining by SimCLR or MICLe: the plan of --mode=pretrain."""

from __future__ import annotations

import dataclasses
import functools

from absl import logging

from tf_micle.contrastive.build import build_contrastive_model
from tf_micle.health.checks import HealthChecks
from tf_micle.options import PretrainOptions
from tf_micle.runs.trained_on import PatientSet
from tf_micle.training.plan import Plan, save_every


@dataclasses.dataclass(frozen=True)
class PretrainMode:
  """What to pretrain on, and for how long; fields are named as their flags."""

  train_split: str
  eval_split: str
  lineareval_while_pretraining: bool
  train_steps: int | None
  train_epochs: int
  health_checks: bool
  checkpoint: str | None
  checkpoint_steps: int
  checkpoint_epochs: int


def plan(pick, data, seen, problems):
  """Plans a pretraining run.

  Args:
    pick: from a class of options to one that is filled from the flags.
    data: `data.access.DataAccess`.
    seen: `PatientSet`s that the weights come from; not looked at.
    problems: `flags.problems.Problems`; those that are known already.

  Returns:
    A `plan.Plan`.
  """
  del seen
  mode, options = pick(PretrainMode), pick(PretrainOptions)
  source = problems.collect(data.open, mode.train_split)
  probed = _open_probed(mode, data, source, problems)
  batches = source and problems.collect(data.pairs, source)
  own = source and problems.collect(PatientSet.of, "pretrain", source)
  problems.stop_if_any()
  steps_per_epoch = batches.steps_per_epoch
  train_steps = mode.train_steps
  if train_steps is None:
    train_steps = mode.train_epochs * steps_per_epoch
  images_per_step = batches.views_per_item * options.train_batch_size
  return Plan(
    source=source,
    patients=[own],
    steps_per_epoch=steps_per_epoch,
    train_steps=train_steps,
    build=functools.partial(
      build_contrastive_model,
      options,
      steps_per_epoch=steps_per_epoch,
      train_steps=train_steps,
      probe_outputs=len(probed.class_names) if probed else 0,
    ),
    # Published weights, and fine-tuned runs, may have no projection head.
    starts={"encoder": False, "projection_head": True},
    batches=batches,
    images_per_step=images_per_step,
    picture="positive_pairs",
    health=_health(mode, data, probed, images_per_step, batches),
    validate=probed and functools.partial(_probe_accuracy, data.images(probed)),
  )


def _open_probed(mode, data, source, problems):
  """Opens the split for the linear probe; None where there is no probe."""
  probing = mode.lineareval_while_pretraining
  if not source or not probing or source.task == "unlabelled":
    return None
  return problems.collect(
    data.open,
    mode.eval_split,
    hint=" The linear probe is scored on it: name another --eval_split, or "
    "leave the probe out by --nolineareval_while_pretraining.",
  )


def _health(mode, data, probed, views_a_step, batches):
  """Returns the health checks on the held-out split; None without any."""
  if not mode.health_checks:
    return None
  source, why_not = probed, ""
  if not source:
    source, why_not = data.open_if_there(mode.eval_split)
  if not source or not source.num_images:
    why_not = why_not or f"{source.name} has no images."
    logging.info("No health checks: %s", why_not)
    return None
  seen = {*mode.train_split.split("+")} & {*mode.eval_split.split("+")}
  if seen:
    logging.warning(
      "%s is trained on too: health checks and probe are not of held-out "
      "images. Name another --eval_split.",
      "+".join(sorted(seen)),
    )
  return HealthChecks(
    source,
    data.held_out,
    save_every=save_every(mode, batches.steps_per_epoch),
    views_a_step=views_a_step,
    begun="what it began with" if mode.checkpoint else "random weights",
  )


def _probe_accuracy(images, model, strategy, callbacks):
  """Returns the online probe's scores on the images of a split."""
  return model.evaluate(
    strategy.distribute_datasets_from_function(images.batches),
    steps=images.steps(strategy.num_replicas_in_sync),
    verbose=0,
    return_dict=True,
    callbacks=callbacks,
  )
