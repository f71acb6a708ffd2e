"""Evaluation of a fine-tuned run, in numbers and in a report."""

from __future__ import annotations

import dataclasses
import os
import re

import tensorflow as tf
from absl import logging

from tf_micle.evaluation import evaluate as evaluation
from tf_micle.evaluation import failure_pictures, saved, scoring
from tf_micle.evaluation.summary import summary
from tf_micle.loading.opened import open_run
from tf_micle.report import model_card, paper_files
from tf_micle.report import page as report_page
from tf_micle.report.basis import Basis
from tf_micle.runs import folder as run_folder
from tf_micle.runs import initial_weights, provenance, trained_on
from tf_micle.system.input_error import InputError
from tf_micle.system.plurals import counted

_STAGES = {
  "unknown": "whom_it_saw_is_not_known",
  "pretrain": "pretrained_on",
  "finetune": "fine_tuned_on",
  "select": "picked_on",
}


@dataclasses.dataclass(frozen=True)
class EvaluateMode:
  """What to evaluate, and how; fields are named as their flags are."""

  model_dir: str
  checkpoint: str | None
  eval_split: str
  specificity: float
  bootstrap_samples: int
  heat_maps: bool
  compare: str | None
  seed: int


# As in `training.session.train`.
@tf.autograph.experimental.do_not_convert
def run(mode, strategy, data, problems, *, own_data):
  """Evaluates a fine-tuned run on a split.

  Args:
    mode: `EvaluateMode`.
    strategy: `tf.distribute.Strategy`.
    data: `data.access.DataAccess`.
    problems: `flags.problems.Problems`; those that are known already.
    own_data: whether the data are those that the run was trained on.

  Returns:
    The folder of the evaluation, and a summary of it to print.
  """
  source, tuned, other, warnings, folder = _open(mode, data, problems, own_data)
  with strategy.scope():
    network = problems.collect(tuned.network, mode.checkpoint)
  images = data.images(source)
  table = images.table
  items = scoring.unscored(
    table,
    unit=tuned.options.unit,
    task=source.task,
    class_names=source.class_names,
    trained_names=tuned.class_names,
  )
  # Of another data set: two sites, not two models of one.
  paired = not other or saved.is_of(other[0], source.digest)
  rival = problems.collect(
    evaluation.check, items, other and other[1], paired=paired
  )
  problems.stop_if_any()
  if network.points and network.points.data_digest == source.digest:
    warnings.append(
      "Thresholds were chosen on this very split: rates at them flatter."
    )
  for warning in warnings:
    logging.warning("%s", warning)
  number = counted(source.num_images, "image")
  logging.info("Scoring %s of %s.", number, source.name)
  features = network.classifier.predict(
    strategy.distribute_datasets_from_function(images.batches),
    verbose=0,
    steps=images.steps(strategy.num_replicas_in_sync),
  )
  predictions = scoring.scored(network.classifier, features, table, items)
  result = evaluation.evaluate(
    predictions,
    specificity=mode.specificity,
    samples=mode.bootstrap_samples,
    seed=mode.seed,
    other=rival,
    paired=paired,
    points=network.points,
    show_progress=True,
  )
  wrong = failure_pictures.find(
    predictions,
    images,
    network.classifier,
    features,
    heat_maps=mode.heat_maps,
    seed=mode.seed,
  )
  if wrong.check:
    result["heat_maps"] = wrong.check
  notes = [*_notes(source, table, tuned), *network.no_points]
  result["notes"] = list(dict.fromkeys([*notes, *result["notes"]]))
  result["warnings"] = warnings
  if source.cohort:
    theirs = {} if paired else other[0].get("cohort") or {}
    compared = theirs.get("splits", {})
    result["cohort"] = {**source.cohort, "compared": compared}
  result["provenance"] = {
    **provenance.facts(source, strategy),
    "data_are": "internal" if own_data else "external",
    **provenance.software(),
    "model": os.path.normpath(mode.model_dir),
    "checkpoint": os.path.basename(network.checkpoint),
    **{
      name: [one.data for one in tuned.trained_on if one.stage == stage]
      for stage, name in _STAGES.items()
      if any(one.stage == stage for one in tuned.trained_on)
    },
    "started_from": initial_weights.described(mode.model_dir),
  }
  if other:
    result["provenance"]["compared_with"] = os.path.normpath(mode.compare)
  if not paired:
    result["notes"] += _of_two_sites(items, rival)
  os.makedirs(folder, exist_ok=True)
  basis = Basis(result, predictions, wrong, result["provenance"])
  sections = report_page.write(
    os.path.join(folder, "report.html"), basis, warnings=warnings
  )
  paper_files.write(folder, sections)
  model_card.write(os.path.join(folder, "model_card.md"), basis, tuned.flags)
  saved.save(result, predictions, folder)
  return folder, summary(result)


def _open(mode, data, problems, own_data):
  """Opens data, run and the evaluation to compare with.

  Returns:
    These three, what a reader must know, and where the evaluation goes.
  """
  source = problems.collect(data.open, mode.eval_split)
  tuned = None
  if mode.model_dir:  # Otherwise it is told already.
    tuned = problems.collect(open_run, mode.model_dir, tuned=True)
  other = mode.compare and problems.collect(saved.load, mode.compare)
  warnings, folder = [], None
  if source and tuned:
    folder = problems.collect(_folder, mode, source, own_data)
    problems.add(*tuned.misfits(source.task, source.class_names))
    warnings = _check_leakage(tuned, source, problems)
  problems.stop_if_any()
  if other:
    warnings += [f"The other model: {w}" for w in other[0].get("warnings", [])]
  return source, tuned, other, warnings, folder


def _notes(source, table, tuned):
  """Returns what the data do not tell."""
  notes = scoring.notes_of_classes(table, source.class_names, tuned.class_names)
  if not source.patients_known:
    notes.append(
      "Patients are not known: each image counts as one, and intervals are too "
      "narrow if a patient has several."
    )
  return notes


def _of_two_sites(items, other):
  """Returns what to know of a comparison of two data sets."""
  shared = len(set(items.patient_id) & set(other.patient_id))
  if not shared:
    return []
  return [
    f"{counted(shared, 'patient', 'is')} in both data sets that are compared; "
    "the interval of the difference takes them for others."
  ]


def _check_leakage(tuned, source, problems):
  """Refuses patients that were trained on; returns what a reader must know."""
  evaluated = problems.collect(trained_on.PatientSet.of, "evaluate", source)
  if evaluated is None:
    return []
  shared, warnings = trained_on.check(tuned.trained_on, evaluated)
  problems.add(*shared)
  return warnings


def _folder(mode, source, own_data):
  """Returns where the evaluation goes: other data sets go by their name.

  Raises:
    InputError: if a file is in its way.
  """
  name = mode.eval_split if own_data else source.name
  name = re.sub(r"[^\w.-]+", "-", name)
  folder = os.path.join(mode.model_dir, run_folder.EVALUATIONS, name)
  before = saved.provenance_of(folder)
  if before.get("data_digest", source.digest) != source.digest:
    # Two data sets of one name: neither takes the other's place.
    folder += f"-{source.digest[:8]}"
  there = folder
  while not os.path.lexists(there):
    there = os.path.dirname(there)
  if not os.path.isdir(there):
    raise InputError(
      f"Expected {there} to be a folder, or a name that is free, for the "
      "evaluation. Received: a file; remove it, or give it another name"
    )
  return folder
