"""Health checks of a run: when, on which images, and what they measure."""

from __future__ import annotations

import math

import numpy as np
from absl import logging

from tf_micle.health import neighbours, spread, verdict
from tf_micle.system.plurals import counted

PREFIX = "health_"
# A check embeds at most this share of the views that were trained on since the
# one before: a step takes three times as long for a view, and draws it too.
_SHARE = 0.04
_FEWEST, _MOST = 128, 1024
_IMAGES, _SET = "images", "set"


class HealthChecks:
  """Measures of held-out images, at step 0 and at checkpoints."""

  def __init__(self, source, open_images, *, save_every, views_a_step, begun):
    """Plans the checks; reads no image yet.

    Args:
      source: the `BagSource` of the held-out split.
      open_images: from it and a number to its `held_out.HeldOutImages`.
      save_every: steps between checkpoints.
      views_a_step: that a step trains on.
      begun: what the run begins with, for the log: 'random weights'.
    """
    self._source = source
    self._open_images = open_images
    self._affordable = _SHARE * views_a_step * save_every
    self._save_every = save_every
    self._begun = begun
    self._most = min(max(_FEWEST, int(self._affordable)), _MOST)
    self._images = None
    self._reference = None

  def resume(self, rows):
    """Takes up what was measured at step 0.

    Args:
      rows: the run's log, a dict a row, up to where it resumes.
    """
    at_start = rows[0] if rows and rows[0]["step"] == 0 else {}
    if PREFIX + _IMAGES in at_start:
      self._reference = {
        name.removeprefix(PREFIX): value for name, value in at_start.items()
      }
      self._most = int(self._reference[_IMAGES])

  def due(self, step, last_step):
    """Whether the checkpoint of a step is to be checked.

    Those that follow each other closely are not all checked.
    """
    few = min(self._most, self._source.num_images)
    every = self._save_every * max(math.ceil(few / self._affordable), 1)
    return step == last_step or step % every == 0

  def begin(self, model, strategy):
    """Measures a new run at step 0; returns what to log, by name."""
    found = self._measure(model, strategy)
    images = self._held_out()
    found |= {_IMAGES: len(images.table.row), _SET: images.checksum}
    self._reference, self._most = found, found[_IMAGES]
    logging.info(
      "Health checks: on %s of %s, against step 0 (%s).",
      counted(found[_IMAGES], "image"),
      self._source.name,
      self._begun,
    )
    if not _bags_of_two(images.table)[0].size:
      logging.info(
        "No bag of %s has two images: retrieval, alignment and LiDAR are "
        "left out.",
        self._source.name,
      )
    return _with_prefix(found)

  def check(self, step, model, strategy, callbacks):
    """Measures a run and logs a line on it; returns what to log, by name."""
    found = self._measure(model, strategy, callbacks)
    reference = self._reference
    if reference and reference.get(_SET) != self._held_out().checksum:
      reference = None
    line = verdict.line(found, reference, self._begun, step)
    logging.info("Health at step %d: %s", step, line)
    return _with_prefix(found)

  def _measure(self, model, strategy, callbacks=None):
    images = self._held_out()
    embedded = model.predict(
      strategy.distribute_datasets_from_function(images.batches),
      steps=images.steps(strategy.num_replicas_in_sync),
      verbose=0,
      callbacks=callbacks,
    )
    features = model.encoder.output["final_avg_pool"].shape[-1]
    h, z = np.split(embedded, [features], axis=1)
    return measure(h, z, images.table, len(self._source.class_names))

  def _held_out(self):
    if self._images is None:
      self._images = self._open_images(self._source, self._most)
    return self._images


def measure(h, z, table, num_classes):
  """Returns what is defined of all measures, a dict of floats; {}: nothing.

  Neighbours are by features h, all else by projections z.

  Args:
    h: float32 (n, f).
    z: float32 (n, d).
    table: the images' `patient_id`, `bag_id` and `labels`.
    num_classes: of the labels; 0: none.
  """
  # Here, as scikit-learn takes half a second that a run's start does not need.
  from tf_micle.evaluation import evaluate

  found = {}
  if not (np.isfinite(h).all() and np.isfinite(z).all()):
    return found  # float16 may overflow before BatchNorm's statistics settle.
  if len(z) > 1:
    found |= {"uniformity": spread.uniformity(z), "rankme": spread.rankme(z)}
  in_bag, number = _bags_of_two(table)
  firsts = np.flatnonzero(np.diff(number, prepend=-1))
  if firsts.size:
    pairs = in_bag[np.stack([firsts, firsts + 1], axis=1)]
    found["alignment"] = spread.alignment(z, pairs)
  if firsts.size > 1:
    found["lidar"] = spread.lidar(z[in_bag], number)
  several = len(set(table.patient_id)) > 1
  if firsts.size > 1 and several:
    values, at_1 = neighbours.retrieval(h, table.bag_id, table.patient_id)
    found |= _mean_and_error("retrieval_map", values)
    found["recall_at_1"] = float(at_1.mean())
  if num_classes and several:
    chances = neighbours.knn_probabilities(
      h, table.labels, table.patient_id, num_classes
    )
    values = neighbours.by_patient(chances, table.labels, table.patient_id)
    found |= _mean_and_error("knn_true_share", values)
    scores = evaluate.point_values(table.labels, chances)
    for name in ("top1", "mean_auroc"):
      if name in scores:
        found[f"knn_{name}"] = scores[name]
  return found


def _mean_and_error(name, values):
  """Returns the mean of values (k,) and its standard error, by name."""
  if len(values) < 2:
    return {}
  error = values.std(ddof=1) / math.sqrt(len(values))
  return {name: float(values.mean()), f"{name}_error": float(error)}


def _bags_of_two(table):
  """Places of images in bags of two or more, by bag, and each one's number."""
  _, number, counts = np.unique(
    table.bag_id, return_inverse=True, return_counts=True
  )
  order = np.argsort(number, kind="stable")
  kept = order[counts[number[order]] > 1]
  return kept, np.unique(number[kept], return_inverse=True)[1]


def _with_prefix(found):
  return {PREFIX + name: value for name, value in found.items()}
