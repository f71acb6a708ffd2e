"""Fine-tunes an encoder to a classifier."""

from __future__ import annotations

import dataclasses
import functools
import math

import tensorflow as tf
from absl import logging

from tf_micle.classifier import supervised
from tf_micle.classifier.build import build_classifier
from tf_micle.evaluation import scoring
from tf_micle.runs import trained_on
from tf_micle.training import session as training_session

# At another image size the stem may be another, but no more.
_LEAST_MATCHED = {"encoder": 0.9, "projection_head": 1}


@dataclasses.dataclass(frozen=True)
class FinetuneMode:
  """What to fine-tune on, and how to pick; fields are named as their flags."""

  train_split: str
  eval_split: str
  train_steps: int | None
  train_epochs: int
  bag_views: int
  select_by: str
  early_stopping: int


def run(mode, options, session, data, problems):
  """Fine-tunes.

  Args:
    mode: `FinetuneMode`.
    options: `options.FinetuneOptions`.
    session: `session.Session`.
    data: `data.access.DataAccess`.
    problems: `flags.problems.Problems`; faults that are known already.

  Returns:
    A `session.Outcome`.
  """
  source, validation = _open(mode, data, problems)
  problems.collect(session.check, source, problems, picked_on=validation)
  seen = problems.collect(session.seen_before)
  problems.stop_if_any()
  split, scored, own = _read(mode, source, validation, data, problems)
  _check_leakage(own, seen, problems)
  steps_per_epoch = split.num_items / options.train_batch_size
  train_steps = mode.train_steps
  if train_steps is None:
    train_steps = math.ceil(mode.train_epochs * steps_per_epoch)
  _say_what_is_learnt(split, train_steps)
  with session.locked(problems):
    # Another process may have been at work here until now.
    problems.collect(session.check, source, problems, picked_on=validation)
    problems.stop_if_any()
    return _train(
      mode,
      options,
      session,
      data,
      problems,
      split=split,
      scored=scored,
      patients=seen + own,
      steps_per_epoch=steps_per_epoch,
      train_steps=train_steps,
    )


def _train(
  mode,
  options,
  session,
  data,
  problems,
  *,
  split,
  scored,
  patients,
  steps_per_epoch,
  train_steps,
):
  """Trains on labels, in a folder that is this process's alone."""
  session.clock.done("reading and checking what was asked for")
  source = split.source
  with session.strategy.scope():
    model, parts = build_classifier(
      options,
      task=source.task,
      num_classes=len(source.class_names),
      steps_per_epoch=steps_per_epoch,
      train_steps=train_steps,
      class_weights=_class_weights(options, split.labels, source),
    )
    training = training_session.TrainingRun(session, parts)
    problems.collect(
      training.start,
      {name: least for name, least in _LEAST_MATCHED.items() if name in parts},
      source=source,
      train_steps=train_steps,
    )
    problems.stop_if_any()
  classes = {"task": source.task, "class_names": source.class_names}
  log = training.open_log(
    source, patients, picked_on=scored and scored.source, **classes
  )
  distributed = session.strategy.distribute_datasets_from_function
  training.draw_views(
    model,
    functools.partial(data.some_labelled, split.source),
    log,
    "training_views",
  )

  def batches_of(worker):
    return data.labelled_batches(split.source, training.first_step, worker)

  def validate(callbacks):
    return scoring.validate(
      model,
      distributed(lambda worker: data.image_batches(scored.source, worker)),
      scored,
      steps=data.image_steps(
        scored.source, session.strategy.num_replicas_in_sync
      ),
      callbacks=callbacks,
      **classes,
    )

  views = mode.bag_views if options.unit == "bag" else 1
  return training.train(
    model,
    distributed(batches_of),
    log,
    train_steps=train_steps,
    steps_per_epoch=steps_per_epoch,
    images_per_step=views * options.train_batch_size,
    validate=validate if scored else None,
    selection=scored and training.select(mode.select_by, mode.early_stopping),
  )


def _read(mode, source, validation, data, problems):
  """Reads the labels; returns what to learn, what to score, and whose it is."""
  split = problems.collect(data.labelled, source, for_training=True)
  scored = validation and problems.collect(
    data.labelled, validation, for_training=False
  )
  problems.stop_if_any()
  if source.task == "multi_class" and len(set(split.labels)) < 2:
    problems.add(
      f"Expected at least two classes among the labels of {source.name} to "
      "learn from. Received one."
    )
  if scored:
    defined = scoring.defined_scores(scored.labels, len(source.class_names))
    if mode.select_by not in defined:
      problems.add(
        f"Expected --select_by to be a score that the labels of "
        f"{validation.name} define: {', '.join(sorted(defined))}. Received: "
        f"--select_by={mode.select_by}"
      )
  own = [problems.collect(trained_on.PatientSet.of, "finetune", split.source)]
  if scored:
    own.append(
      problems.collect(trained_on.PatientSet.of, "select", scored.source)
    )
  problems.collect(data.check_parts, split)
  problems.stop_if_any()
  return split, scored, own


def _check_leakage(own, seen, problems):
  """Refuses to pick a checkpoint on patients that were trained on."""
  if len(own) < 2:
    return
  # A run that goes on has seen its own validation split before.
  earlier = [one for one in seen if one not in own]
  faults, warnings = trained_on.check(own[:1] + earlier, own[1])
  problems.add(*faults)
  problems.stop_if_any()
  for warning in warnings:
    logging.warning("%s", warning)


def _say_what_is_learnt(split, train_steps):
  logging.info(
    "Fine-tuning on %d labelled %ss of %d patients, for %d steps.",
    split.num_items,
    split.unit,
    len(set(split.table.patient_id)),
    train_steps,
  )
  if split.left_out:
    several = ", or images of several" if split.unit == "bag" else ""
    logging.info(
      "%d %ss have no label%s, and are left out.",
      split.left_out,
      split.unit,
      several,
    )


def _class_weights(options, labels, source):
  """Returns the weights of balanced classes, or None."""
  if options.class_weights == "none":
    return None
  known = supervised.resolve_uncertain(tf.constant(labels), options.uncertain)
  counts = supervised.count_labels(known, len(source.class_names))
  return supervised.balanced_class_weights(counts)


def _open(mode, data, problems):
  """Opens what to train and to validate on; None where there is none."""
  source = problems.collect(data.open, mode.train_split)
  if source and source.task == "unlabelled":
    problems.add(
      f"Expected labels in {source.name}. Received an unlabelled data set: "
      "build it with --label_column or --label_columns."
    )
  if not source or mode.select_by == "none":
    return source, None
  validation = problems.collect(
    data.open,
    mode.eval_split,
    hint=" The best checkpoint is picked on it: name another --eval_split, or "
    "keep the last one by --select_by=none.",
  )
  return source, validation
