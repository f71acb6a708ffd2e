"""Accounts of a study: settings picked, budgets of pretraining, hours."""

from __future__ import annotations

import collections
import os

import numpy as np

from tf_micle.report.blocks import Section, Text
from tf_micle.report.tables import number
from tf_micle.runs import selection
from tf_micle.study.design import Study
from tf_micle.study.jobs import KINDS
from tf_micle.study.sections import titled
from tf_micle.system.plurals import counted


def sections_of(folder, study, jobs, cells, journal) -> list[Section]:
  """Returns the sections on choices and costs.

  Args:
    folder: the study's.
    study: `design.Study`.
    jobs: `jobs.Job` of all.
    cells: `jobs.Cell` of all.
    journal: `journal.Journal`.
  """
  settings = titled(
    "Settings of fine-tuning",
    ["Arm", "Setting", f"{study.select_by} on validation, mean", "Picked"],
    list(_settings(folder, study, cells, journal)),
  )
  hours = sum(journal.seconds(job.name) for job in jobs) / 3600
  costs = titled(
    "Hours",
    ["Arm", "Pretraining steps", "Views", *KINDS, "All"],
    list(_costs(study, cells, journal)),
  )
  by_validation = (
    f"By {study.select_by} on the validation patients of each run, never by a "
    "test set."
  )
  in_all = (
    f"In all {hours:.2f} hours of jobs, one after the other; a job that arms "
    "share is counted in each."
  )
  return [
    Section(
      "settings",
      "Which setting was picked",
      "Settings",
      [Text(by_validation), *settings],
    ),
    Section(
      "costs",
      "Budgets and cost",
      "Costs",
      [Text(budget_text(study)), Text(in_all), *costs],
    ),
  ]


def budget_text(study: Study) -> str:
  """Says whether the arms were pretrained for the same steps and views."""
  budgets = {arm.name: arm.budget for arm in study.arms if arm.stages}
  if not budgets:
    return "No arm is pretrained here."
  if None in budgets.values():
    return (
      "Budgets are NOT KNOWN TO BE EQUAL: pretraining is given in epochs, of "
      "which an epoch over bags is shorter than one over images. "
      "--train_steps makes arms comparable."
    )
  texts = {
    name: f"{counted(b[0], 'step')}, {counted(b[1], 'view')}"
    for name, b in budgets.items()
  }
  if len(set(budgets.values())) == 1:
    return (
      f"Equal budgets: each arm is pretrained for {next(iter(texts.values()))}."
    )
  listed = "; ".join(f"{name} {text}" for name, text in texts.items())
  return f"UNEQUAL budgets, so arms are not comparable in this: {listed}."


def _settings(folder, study, cells, journal):
  scores = collections.defaultdict(list)
  picked = collections.Counter()
  for cell in cells:
    if not all(map(journal.done, cell.tuned.values())):
      continue
    runs = {s: os.path.join(folder, name) for s, name in cell.tuned.items()}
    best = selection.best_run(runs.values(), study.select_by)
    for setting, run in runs.items():
      score = selection.best_score(run, study.select_by)
      scores[cell.arm, setting].append(score)
      picked[cell.arm, setting] += run == best
  for arm in study.arms:
    for setting in arm.settings:
      found = [s for s in scores[arm.name, setting] if s is not None]
      yield [
        arm.name,
        setting,
        number(float(np.mean(found)) if found else None),
        f"{picked[arm.name, setting]} of {len(scores[arm.name, setting])}",
      ]


def _costs(study, cells, journal):
  for arm in study.arms:
    own = [cell for cell in cells if cell.arm == arm.name]
    of_kinds = (
      {name for cell in own for name in cell.pretraining},
      {name for cell in own for name in cell.tuned.values()},
      {name for cell in own for name in cell.evaluations.values()},
    )
    hours = [sum(map(journal.seconds, names)) / 3600 for names in of_kinds]
    budget = ["not known"] * 2
    if arm.budget:
      budget = [f"{count:,}" for count in arm.budget]
    yield [arm.name, *budget, *(f"{h:.2f}" for h in (*hours, sum(hours)))]
