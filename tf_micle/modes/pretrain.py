"""Pretrains an encoder: SimCLR, or MICLe."""

from __future__ import annotations

import dataclasses
import functools

from tf_micle.contrastive.build import build_contrastive_model
from tf_micle.runs import trained_on
from tf_micle.training import session as training_session


@dataclasses.dataclass(frozen=True)
class PretrainMode:
  """What to pretrain on, and for how long; fields are named as their flags."""

  train_split: str
  eval_split: str
  lineareval_while_pretraining: bool
  train_steps: int | None
  train_epochs: int


def run(mode, options, session, data, problems):
  """Pretrains.

  Args:
    mode: `PretrainMode`.
    options: `options.PretrainOptions`.
    session: `session.Session`.
    data: `data.access.DataAccess`.
    problems: `flags.problems.Problems`; faults that are known already.

  Returns:
    A `session.Outcome`.
  """
  source = problems.collect(data.open, mode.train_split)
  validation = _probed(mode, data, source, problems)
  steps_per_epoch = source and problems.collect(data.pairs_per_epoch, source)
  problems.collect(session.check, source, problems)
  seen = problems.collect(session.seen_before)
  own = source and problems.collect(
    trained_on.PatientSet.of, "pretrain", source
  )
  problems.stop_if_any()
  with session.locked(problems):
    # Another process may have been at work here until now.
    problems.collect(session.check, source, problems)
    problems.stop_if_any()
    return _train(
      mode,
      options,
      session,
      data,
      problems,
      source=source,
      validation=validation,
      patients=[*seen, own],
      steps_per_epoch=steps_per_epoch,
    )


def _train(
  mode,
  options,
  session,
  data,
  problems,
  *,
  source,
  validation,
  patients,
  steps_per_epoch,
):
  """Trains on a split, in a folder that is this process's alone."""
  session.clock.done("reading and checking what was asked for")
  train_steps = mode.train_steps
  if train_steps is None:
    train_steps = mode.train_epochs * steps_per_epoch
  with session.strategy.scope():
    model, parts = build_contrastive_model(
      options,
      steps_per_epoch=steps_per_epoch,
      train_steps=train_steps,
      probe_outputs=len(validation.class_names) if validation else 0,
    )
    training = training_session.TrainingRun(session, parts)
    problems.collect(
      training.start,
      {"encoder": 1, "projection_head": 1},
      source=source,
      train_steps=train_steps,
    )
    problems.stop_if_any()
  log = training.open_log(source, patients)
  distributed = session.strategy.distribute_datasets_from_function
  training.draw_views(
    model, functools.partial(data.some_pairs, source), log, "positive_pairs"
  )

  def batches_of(worker):
    return data.pair_batches(source, training.first_step, worker)

  def probe_accuracy(callbacks):
    return model.evaluate(
      distributed(lambda worker: data.image_batches(validation, worker)),
      steps=data.image_steps(validation, session.strategy.num_replicas_in_sync),
      verbose=0,
      return_dict=True,
      callbacks=callbacks,
    )

  return training.train(
    model,
    distributed(batches_of),
    log,
    train_steps=train_steps,
    steps_per_epoch=steps_per_epoch,
    images_per_step=2 * options.train_batch_size,
    validate=probe_accuracy if validation else None,
  )


def _probed(mode, data, source, problems):
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
