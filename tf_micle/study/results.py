"""Results of a study: scores of arms over all folds, and differences."""

from __future__ import annotations

import collections
import dataclasses
import os

import numpy as np

from tf_micle.evaluation import (
  bootstrap,
  intervals,
  metrics,
  pairing,
  resampled_metrics,
  saved,
)
from tf_micle.evaluation.predictions import Predictions, by_patient
from tf_micle.runs import folder as run_folder
from tf_micle.study.design import IN_DISTRIBUTION

SAMPLES = 1000
# What is told of each arm, where the task has it: (level, metric).
SCORES = (("item", "top1"), ("item", "mean_auroc"), ("patient", "mean_auroc"))


@dataclasses.dataclass(frozen=True)
class Measured:
  """A score of an arm, or a difference of two, as the mean over runs.

  Attributes:
    value: the mean over runs.
    low, high: 95% interval of that mean over patients, who are drawn with
      their images, the same in all runs and arms.
    spread: the lowest and the highest run.
    runs: how many.
  """

  value: float
  low: float
  high: float
  spread: tuple[float, float]
  runs: int

  @property
  def entry(self) -> dict:
    """Value and interval as reports show them; None where not defined."""
    return intervals.entry(self.value, self.low, self.high, 0)


@dataclasses.dataclass(frozen=True)
class Scored:
  """The runs of an arm on one evaluation set with one fraction of labels.

  Attributes:
    values: {score: {run: value}}; a run is a seed and a draw of labels, and,
      where each fold's model scores the whole set, a fold. Scores are those
      that the task has.
    replicates: {score: {run: (SAMPLES,) of resampled patients}}.
    patients, items: labelled ones of the set.
    unit: what an item is.
    warnings: those of the evaluations, each once.
  """

  values: dict[tuple, dict[tuple, float]]
  replicates: dict[tuple, dict[tuple, np.ndarray]]
  patients: int
  items: int
  unit: str
  warnings: tuple[str, ...] = ()


def gather(study, cells, journal, folder) -> dict[tuple, Scored]:
  """Returns what was measured by (set's name, fraction, arm's name).

  A seed of which a fold is missing is left out.

  Raises:
    InputError: an evaluation is damaged, or not of the same patients.
  """
  found = {}
  for seed, one in enumerate(study.sets):
    for fraction in study.label_fractions:
      for arm in study.arms:
        of_arm = [
          c for c in cells if (c.arm, c.fraction) == (arm.name, fraction)
        ]
        runs, warnings = _runs(study, one, of_arm, journal, folder)
        if runs:
          # Resamples of two sets must not be alike: a seed of its own.
          found[one.name, fraction, arm.name] = dataclasses.replace(
            scored(runs, seed), warnings=warnings
          )
  return found


def scored(runs: dict[tuple, list[Predictions]], seed: int = 0) -> Scored:
  """Measures runs on the same items, by the same resamples of patients.

  Args:
    runs: run -> its predictions, fold by fold.
    seed: of the bootstrap.

  Raises:
    InputError: the runs are not of the same items.
  """
  first = next(iter(runs.values()))
  values, replicates = collections.defaultdict(dict), {}
  for run, folds in runs.items():
    items = [pairing.aligned(*two) for two in zip(folds, first)]
    levels = {"item": items, "patient": list(map(by_patient, items))}
    for level, parts in levels.items():
      parts = list(map(_labelled, parts))
      patients = np.concatenate([part.patient_id for part in parts])
      statistic = _over_folds(parts)
      found = statistic(np.ones((1, len(patients))))
      resampled = bootstrap.replicates(
        statistic, patients, samples=SAMPLES, seed=seed
      )
      for metric in [metric for of, metric in SCORES if of == level]:
        if metric in found:
          values[level, metric][run] = float(found[metric][0])
          draws = replicates.setdefault((level, metric), {})
          draws[run] = resampled[metric]
  labelled = list(map(_labelled, first))
  patients = len({one for part in labelled for one in part.patient_id})
  items = sum(map(len, labelled))
  return Scored(values, replicates, patients, items, first[0].unit)


def _labelled(part):
  return part.take(part.stated.any(axis=1))


def _over_folds(parts):
  """Weights (B, n) of the folds' items, in turn -> a dict of (B,).

  A fold has a model of its own, and scores of two models do not rank each
  other's items: AUROC is taken within folds, and is the mean over them
  (Forman and Scholz 2010). Top-1 is over all items.
  """
  ends = np.cumsum([len(part) for part in parts])[:-1]
  columns = ("labels", "probabilities")
  *_, of_all = metrics.prepared(
    *(np.concatenate([getattr(part, c) for part in parts]) for c in columns)
  )
  of_folds = [
    resampled_metrics.of_classes(part.labels, part.probabilities)
    for part in parts
  ]

  def statistic(weights):
    split = np.split(weights, ends, axis=1)
    auroc = [
      [auroc for auroc, *_ in of_classes(own)]
      for of_classes, own in zip(of_folds, split)
    ]  # folds, C, (B,)
    mean = metrics.mean_of_defined
    return of_all(weights) | {"mean_auroc": mean(mean(np.transpose(auroc)))}

  return statistic


def summary(one: Scored, score: tuple) -> Measured:
  """A score of an arm."""
  return _mean(one.values[score].values(), one.replicates[score].values())


def difference(one: Scored, other: Scored, score: tuple) -> Measured | None:
  """`one` minus `other` over the runs that both have, paired by resamples."""
  runs = [run for run in one.values[score] if run in other.values[score]]
  return _mean(
    *(
      [ours[score][run] - theirs[score][run] for run in runs]
      for ours, theirs in (
        (one.values, other.values),
        (one.replicates, other.replicates),
      )
    )
  )


def scores_of(one: Scored) -> list[tuple]:
  """The scores that the task has."""
  return [score for score in SCORES if score in one.values]


def drop(study, found, shifted, fraction, arm, score) -> Measured | None:
  """The first in-distribution set minus a shifted one, by independent draws."""
  inside = [one.name for one in study.sets if one.kind == IN_DISTRIBUTION]
  parts = [found.get((name, fraction, arm)) for name in (*inside[:1], shifted)]
  if len(parts) < 2 or None in parts:
    return None
  # Runs need not match: with folds, a shifted set has a run a fold.
  value, other = (summary(part, score).value for part in parts)
  draws, others = (
    np.mean(list(part.replicates[score].values()), axis=0) for part in parts
  )
  return _mean([value - other], [draws - others])


def _mean(values, replicates):
  values = list(values)
  if not values:
    return None
  low, high = bootstrap.interval(np.mean(list(replicates), axis=0))
  spread = (min(values), max(values))
  return Measured(np.mean(values), low, high, spread, len(values))


def _runs(study, one, cells, journal, folder):
  """Returns an arm's predictions on a set, by run, and their warnings."""
  parts, warnings = collections.defaultdict(list), {}
  for cell in cells:
    fold = () if one.split is None else (cell.fold,)
    row = journal.last(cell.evaluations[one.name])
    if row.get("status") == 0:
      where = (row["picked"], run_folder.EVALUATIONS, row["folder"])
      result, found = saved.load(os.path.join(folder, *where))
      parts[cell.seed, cell.draw, *fold].append(found)
      warnings |= dict.fromkeys(result.get("warnings", ()))
  wanted = len(study.folds) if one.split is None else 1
  whole = {run: own for run, own in parts.items() if len(own) == wanted}
  return whole, tuple(warnings)
