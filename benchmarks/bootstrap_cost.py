"""What 1,000 resamples of patients cost, by us and by calling scikit-learn.

  python benchmarks/bootstrap_cost.py

Made-up predictions; prints the processor's seconds, and scikit-learn's as a
multiple of ours. Of the slower way only a few resamples are run, and scaled.
Then what the other intervals of a report cost, for the last case.
"""

from __future__ import annotations

import os
import pathlib
import sys
import time

import numpy as np
import sklearn
from sklearn import metrics as sk

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

from benchmarks.small import sized
from tf_micle.evaluation import (
  bands,
  bootstrap,
  calibration,
  resampled_metrics,
)
from tf_micle.evaluation.predictions import Predictions

SAMPLES = sized(1000, 100)
# Classes, images, patients.
CASES = [(6, 450, 120), (27, 5000, 1500), (2, 100_000, 30_000)]
_SLOW_SAMPLES = 10


def made_up(classes, images, patients):
  """Returns labels, probabilities and patients."""
  rng = np.random.default_rng(0)
  labels = rng.integers(classes, size=images)
  logits = rng.normal(size=(images, classes))
  logits[np.arange(images), labels] += 1
  odds = np.exp(logits)
  whose = rng.integers(patients, size=images).astype(str)
  return labels, odds / odds.sum(axis=1, keepdims=True), whose


def by_scikit_learn(labels, probabilities, weights):
  """Computes the ranking scores of one resample, class by class."""
  for k in range(probabilities.shape[1]):
    truth = labels == k
    fpr, tpr, _ = sk.roc_curve(
      truth, probabilities[:, k], sample_weight=weights
    )
    sk.auc(fpr, tpr)
    sk.average_precision_score(
      truth, probabilities[:, k], sample_weight=weights
    )


def seconds(function):
  """Returns the seconds of the processor that a call takes."""
  start = time.process_time()
  function()
  return time.process_time() - start


def main():
  """Prints a line a case."""
  for case in CASES:
    labels, probabilities, whose = made_up(*case)

    def ours(labels=labels, probabilities=probabilities, whose=whose):
      measure = resampled_metrics.of_weights(labels, probabilities)
      bootstrap.replicates(measure, whose, samples=SAMPLES)

    took = seconds(ours)
    weights = np.random.default_rng(1).integers(3, size=len(labels))

    def theirs(case=(labels, probabilities, weights)):
      settings = {"assume_finite": True, "skip_parameter_validation": True}
      with sklearn.config_context(**settings):
        for _ in range(_SLOW_SAMPLES):
          by_scikit_learn(*case)

    slow = seconds(theirs) * SAMPLES / _SLOW_SAMPLES
    print(
      f"{case[0]} classes, {case[1]} images, {SAMPLES} resamples: ours "
      f"{took:.1f} s; scikit-learn's ranking scores alone {slow:.1f} s, "
      f"{slow / took:.1f} x",
      flush=True,
    )
  rows, names = np.arange(len(labels)).astype(str), ("a", "b")
  items = Predictions(
    *("multi_class", names, "image", whose, whose, rows, labels),
    probabilities=probabilities,
  )
  for what, function in {
    "curves": bands.bands,
    "reliability": bands.reliability,
    "net benefit": bands.net_benefit,
    "calibration slopes": calibration.measured,
  }.items():
    took = seconds(lambda of=function: of(items, samples=SAMPLES, seed=0))
    print(f"  {what}: {took:.1f} s", flush=True)


if __name__ == "__main__":
  main()
