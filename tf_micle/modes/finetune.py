"""Fine-tuning: the plan of --mode=finetune."""

from __future__ import annotations

import dataclasses
import functools
import math
import os

import tensorflow as tf
from absl import logging

from tf_micle.classifier import supervised
from tf_micle.classifier.build import build_classifier
from tf_micle.evaluation import operating_points, scoring
from tf_micle.options import FinetuneOptions
from tf_micle.runs import checkpoint, provenance, trained_on
from tf_micle.runs import folder as run_folder
from tf_micle.runs.trained_on import PatientSet
from tf_micle.system.plurals import counted
from tf_micle.training.plan import Plan

# A layer of the projection head to start from is not to be a random one.
_STARTS = {"encoder": False, "projection_head": False}
_PROBE = "linear_probe_steps"


@dataclasses.dataclass(frozen=True)
class FinetuneMode:
  """What to fine-tune on, and how to pick; fields are named as their flags."""

  model_dir: str
  train_split: str
  eval_split: str
  train_steps: int | None
  train_epochs: int
  select_by: str
  early_stopping: int
  operating_point: str
  calibrate: bool


def plan(pick, data, seen, problems):
  """Plans a fine-tuning run.

  Args:
    pick: from a class of options to one that is filled from the flags.
    data: `data.access.DataAccess`.
    seen: `PatientSet`s that the weights come from, None where not known.
    problems: `flags.problems.Problems`; those that are known already.

  Returns:
    A `plan.Plan`.
  """
  mode, options = pick(FinetuneMode), pick(FinetuneOptions)
  source, validation = _open(mode, data, problems)
  problems.stop_if_any()
  batches, scored, own = _read(mode, source, validation, data, problems)
  _check_leakage(own, seen, problems)
  split = batches.split
  train_steps = mode.train_steps
  if train_steps is None:
    train_steps = math.ceil(mode.train_epochs * batches.steps_per_epoch)
    if 0 < train_steps <= options.linear_probe_steps:
      problems.add(
        f"Expected --linear_probe_steps below {train_steps}, the steps of "
        f"--train_epochs={mode.train_epochs}. Received: "
        f"--linear_probe_steps={options.linear_probe_steps}"
      )
      problems.stop_if_any()
  options = _settle_probe(options, train_steps, mode.model_dir)
  _say_what_is_learnt(split, train_steps)
  classes = {"task": source.task, "class_names": source.class_names}
  validation = scored and _Validation(scored, classes)
  return Plan(
    source=split.source,
    patients=own,
    steps_per_epoch=batches.steps_per_epoch,
    train_steps=train_steps,
    build=functools.partial(
      build_classifier,
      options,
      task=source.task,
      num_classes=len(source.class_names),
      steps_per_epoch=batches.steps_per_epoch,
      train_steps=train_steps,
      class_weights=_class_weights(options, split.labels, source),
    ),
    starts=_STARTS,
    batches=batches,
    images_per_step=batches.views_per_item * options.train_batch_size,
    picture="training_views",
    validate=scored and validation.scores,
    select_by=mode.select_by,
    early_stopping=mode.early_stopping,
    picked_on=scored and scored.source,
    facts={**classes, _PROBE: options.linear_probe_steps},
    conclusion=scored and _Conclusion(mode, validation),
  )


def _settle_probe(options, train_steps, folder):
  """Replaces what means half of the steps; a frozen encoder has one phase.

  A run that is resumed keeps its phases, however long it is to be now.
  """
  if options.fine_tune_after_block == 4:
    return dataclasses.replace(options, linear_probe_steps=0, encoder_rate=1.0)
  if options.linear_probe_steps < 0:
    begun = run_folder.has_checkpoint(folder)
    before = provenance.read(folder) if begun else {}
    steps = before.get(_PROBE, train_steps // 2)
    return dataclasses.replace(options, linear_probe_steps=steps)
  return options


class _Validation:
  """Predictions of the validation images; the last ones are kept."""

  def __init__(self, images, classes):
    """Takes the images, and `task` and `class_names` of their labels."""
    self.images = images
    self._classes = classes
    self._step, self._found = None, None

  def scores(self, model, strategy, callbacks):
    """Returns the classifier's scores on them, for the log."""
    self._found = scoring.validated(
      model,
      strategy.distribute_datasets_from_function(self.images.batches),
      self.images,
      steps=self.images.steps(strategy.num_replicas_in_sync),
      callbacks=callbacks,
      **self._classes,
    )
    self._step = _step(model)
    return scoring.log_values(self._found)

  def predictions(self, model, strategy, callbacks):
    """Returns the `Predictions`, new ones only where the step is another."""
    if self._step != _step(model):
      self.scores(model, strategy, callbacks)
    return self._found


class _Conclusion:
  """Operating points of the best checkpoint, when training has ended."""

  def __init__(self, mode, validation):
    """Takes a `FinetuneMode` and a `_Validation`."""
    self._mode = mode
    self._validation = validation
    self._images = validation.images

  def is_due(self, folder):
    """Whether a run's folder lacks them, or has those of another rule."""
    points = operating_points.read(folder)
    return points is None or (
      (
        points.rule,
        points.calibration is not None,
        points.checkpoint,
        points.data_digest,
      )
      != (
        self._mode.operating_point,
        self._mode.calibrate,
        _best_name(folder),
        self._images.source.digest,
      )
    )

  def draw(self, folder, model, strategy, callbacks):
    """Chooses and writes them; the model has the weights that they are of."""
    found = self._validation.predictions(model, strategy, callbacks)
    points = operating_points.choose(
      found,
      self._mode.operating_point,
      checkpoint=_best_name(folder),
      source=self._images.source,
      calibrate=self._mode.calibrate,
    )
    operating_points.write(folder, points)
    logging.info(
      "Operating points (%s) chosen on %s: %s",
      points.rule,
      points.data,
      os.path.join(folder, operating_points.FILE_NAME),
    )


def _step(model):
  return int(tf.convert_to_tensor(model.optimizer.iterations))


def _best_name(folder):
  best = checkpoint.find(run_folder.best_or_newest(folder))
  return os.path.basename(best)


def _open(mode, data, problems):
  """Opens what to train and to validate on; None where there is none."""
  source = problems.collect(data.open, mode.train_split)
  if source and source.task == "unlabelled":
    problems.add(
      f"Expected labels in {source.name}. Received: an unlabelled data set; "
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


def _read(mode, source, validation, data, problems):
  """Reads the labels; returns what to learn, what to score, and whose it is."""
  batches = problems.collect(data.labelled, source)
  scored = validation and problems.collect(
    data.images, validation, labelled_only=True
  )
  problems.stop_if_any()
  if source.task == "multi_class" and len(set(batches.split.labels)) < 2:
    problems.add(
      f"Expected at least two classes among the labels of {source.name} to "
      "learn from. Received: one."
    )
  if scored:
    classes = len(source.class_names)
    defined = scoring.defined_scores(scored.table.labels, classes)
    if mode.select_by not in defined:
      problems.add(
        f"Expected --select_by to be a score that the labels of "
        f"{validation.name} define: {', '.join(sorted(defined))}. Received: "
        f"--select_by={mode.select_by}"
      )
  own = [problems.collect(PatientSet.of, "finetune", batches.split.source)]
  if scored:
    own.append(problems.collect(PatientSet.of, "select", scored.source))
  problems.stop_if_any()
  return batches, scored, own


def _check_leakage(own, seen, problems):
  """Refuses to pick a checkpoint on patients that were trained on."""
  if len(own) < 2:
    return
  # A run that is resumed has seen its own validation split before.
  earlier = [one for one in seen if one not in own]
  faults, warnings = trained_on.check(own[:1] + earlier, own[1])
  problems.add(*faults)
  problems.stop_if_any()
  for warning in warnings:
    logging.warning("%s", warning)


def _say_what_is_learnt(split, train_steps):
  logging.info(
    "Fine-tuning on %s of %s, for %s.",
    counted(split.num_items, f"labelled {split.unit}"),
    counted(len(set(split.table.patient_id)), "patient"),
    counted(train_steps, "step"),
  )
  if split.left_out:
    several = ", or images of several" if split.unit == "bag" else ""
    logging.info(
      "%s left out, without a label%s.",
      counted(split.left_out, split.unit, "is"),
      several,
    )


def _class_weights(options, labels, source):
  """Returns the weights of balanced classes, or None."""
  if options.class_weights == "none":
    return None
  known = supervised.resolve_uncertain(tf.constant(labels), options.uncertain)
  counts = supervised.count_labels(known, len(source.class_names))
  return supervised.balanced_class_weights(counts)
