"""Operating points: thresholds chosen on validation, and kept with the run.

A threshold that is read off the data that it is judged on flatters (Leeflang et
al. 2008, Clin Chem 54:729). These are chosen where the checkpoint is, and are
fixed from then on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os

import numpy as np
from sklearn import metrics as sklearn_metrics

from tf_micle.evaluation import calibration, metrics
from tf_micle.evaluation.predictions import LEVELS, Predictions, at_level
from tf_micle.runs import folder as run_folder
from tf_micle.system.written_whole import write_json

FILE_NAME = "operating_points.json"
FORMAT_VERSION = 1
MISSING = (
  "Thresholds are missing: the run is of an earlier version, or had no "
  "validation (--select_by=none). Its own --mode=finetune command, given "
  "again, chooses them on validation; it trains nothing more."
)
_MAKE_ANEW = (
  "Remove this file; the run's own --mode=finetune command, given again, makes "
  "it anew and trains nothing more."
)
OTHER_CHECKPOINT = (
  "Thresholds, and calibration if there is one, are left out: the run's are "
  "those of {own}, and this is {other}."
)
# Rounding must not decide whether a rule is kept.
_SLACK = 1e-9


@dataclasses.dataclass(frozen=True)
class OperatingPoints:
  """Thresholds of a run.

  A class is called where its probability is at least the threshold.

  Attributes:
    rule: 'youden', 'sensitivity=S' or 'specificity=S'; see `threshold`.
    class_names: C names, in the order of the probabilities.
    thresholds: by level ('image' or 'bag', and 'patient') and class, in (0, 1];
      None where validation has no positives or no negatives.
    reached: what the threshold gives on validation, likewise: 'sensitivity',
      'specificity', 'positives', 'negatives'.
    checkpoint: name of the checkpoint that they are of, such as 'ckpt-100'.
    data: name of the split that they were chosen on.
    data_digest: its digest.
    calibration: of the probabilities, as `calibration.fit` gives it; None: they
      are as the model gives them.
  """

  rule: str
  class_names: tuple[str, ...]
  thresholds: dict[str, dict[str, float | None]]
  reached: dict[str, dict[str, dict[str, float] | None]]
  checkpoint: str
  data: str
  data_digest: str
  calibration: dict[str, list[float]] | None = None

  def at(self, level: str) -> np.ndarray:
    """The thresholds of a level, float64 (C,), NaN where there is none."""
    found = self.thresholds[level]
    return np.array([found[name] for name in self.class_names], np.float64)

  @property
  def digest(self) -> str:
    """Of all that it says, hexadecimal."""
    return hashlib.sha256(json.dumps(self.content()).encode()).hexdigest()

  def content(self) -> dict:
    """What the file holds."""
    return {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}

  def called(self, probabilities: np.ndarray, level: str) -> np.ndarray:
    """(n, C) float64: 1 where called, 0 where not, NaN without a threshold."""
    thresholds = self.at(level)
    return np.where(np.isnan(thresholds), np.nan, probabilities >= thresholds)


def choose(
  predictions: Predictions,
  rule: str,
  *,
  checkpoint: str,
  source,
  calibrate: bool = False,
) -> OperatingPoints:
  """Chooses the thresholds of each class at item and at patient level.

  Args:
    predictions: of the validation split, not calibrated.
    rule: as in `threshold`.
    checkpoint: name of the one that predicted.
    source: the split; has `name` and `digest`.
    calibrate: whether to calibrate the probabilities first.
  """
  names, fitted = predictions.class_names, None
  if calibrate:
    fitted = calibration.fit(predictions)
    predictions = dataclasses.replace(
      predictions,
      probabilities=calibration.apply(
        fitted, predictions.probabilities, predictions.task
      ),
    )
  thresholds, reached = {}, {}
  for level in dict.fromkeys((predictions.unit, "patient")):
    items = at_level(level, predictions)
    thresholds[level], reached[level] = {}, {}
    for c, name in enumerate(names):
      truth, score, _ = metrics.binary(items.labels, items.probabilities, c)
      one = threshold(truth, score, rule)
      thresholds[level][name] = one
      reached[level][name] = (
        None if one is None else _reached(truth, score, one)
      )
  return OperatingPoints(
    rule,
    names,
    thresholds,
    reached,
    checkpoint,
    source.name,
    source.digest,
    fitted,
  )


def threshold(truth: np.ndarray, score: np.ndarray, rule: str) -> float | None:
  """The threshold that a rule asks for, halfway between two scores.

  Args:
    truth: (n,) bool.
    score: (n,) in [0, 1].
    rule: 'youden', the highest sum of sensitivity and specificity (Youden
      1950); 'sensitivity=S', the most specific with at least that sensitivity;
      'specificity=S', the most sensitive with at least that specificity. Of
      several the highest.

  Returns:
    It, in (0, 1], or next above 1 where a negative has 1 and none may be
    called; None without positives, or without negatives.
  """
  if not truth.any() or truth.all():
    return None
  fpr, tpr, edges = sklearn_metrics.roc_curve(
    truth, score, drop_intermediate=False
  )
  name, _, goal = rule.partition("=")
  if name == "youden":
    place = np.argmax(np.round(tpr - fpr, 12))
  elif name == "sensitivity":
    place = np.argmax(tpr >= float(goal) - _SLACK)
  else:
    place = np.argmax(np.where(1 - fpr >= float(goal) - _SLACK, tpr, -1))
  # The first edge is infinite: nothing is called.
  top = np.nextafter(max(1.0, score.max()), 2)
  edges = np.concatenate([[top], edges[1:], [0.0]])
  upper, lower = edges[place], edges[place + 1]
  halfway = (upper + lower) / 2
  # Neighbours have no number halfway: rounding must not call the lower one.
  return float(halfway if halfway > lower else upper)


def _reached(truth, score, threshold):
  called = score >= threshold
  return {
    "sensitivity": float(called[truth].mean()),
    "specificity": float(1 - called[~truth].mean()),
    "positives": int(truth.sum()),
    "negatives": int((~truth).sum()),
  }


def write(folder: str, points: OperatingPoints) -> None:
  """Writes them into a run's folder."""
  write_json(os.path.join(folder, FILE_NAME), points.content())


def of_checkpoint(
  folder: str, checkpoint: str
) -> tuple[OperatingPoints | None, list[str]]:
  """Those of a run that are of a checkpoint; None, and why, where none are.

  Args:
    folder: the run's.
    checkpoint: path of the one that is used.
  """
  points, name = read(folder), os.path.basename(checkpoint)
  if points is None:
    return None, [MISSING]
  if points.checkpoint != name:
    return None, [OTHER_CHECKPOINT.format(own=points.checkpoint, other=name)]
  return points, []


def read(folder: str) -> OperatingPoints | None:
  """Those of a run; None where it has none.

  Raises:
    InputError: the file is damaged, or of a version to come.
  """
  path = os.path.join(folder, FILE_NAME)
  content = run_folder.read_json(path)
  if not content:
    return None
  content.pop("format_version", None)
  try:
    content["class_names"] = tuple(content["class_names"])
    points = OperatingPoints(**content)
    for level in {"patient", *points.thresholds}:
      points.at(LEVELS[LEVELS.index(level)])
    if points.calibration is not None:
      for name in ("scale", "shift"):
        part = np.array(points.calibration[name], np.float64)
        part.reshape(len(points.class_names))
    name, _, goal = points.rule.partition("=")
    known = name in ("sensitivity", "specificity") and 0 < float(goal) < 1
    if points.rule != "youden" and not known:
      raise ValueError(f"the rule {points.rule}")
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise run_folder.damaged(path, repr(error), _MAKE_ANEW) from error
  return points
