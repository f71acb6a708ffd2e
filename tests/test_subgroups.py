"""Subgroups of patients, and two sites: against metrics of each alone."""

import statistics

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from test_evaluation import study

from tf_micle.evaluation import bands, decisions, subgroups
from tf_micle.evaluation import evaluate as evaluation
from tf_micle.evaluation.predictions import by_patient


def test_a_group_is_measured_alone_and_against_the_rest():
  items = by_patient(study(patients=60))
  inside = np.arange(60) % 2 == 0
  thresholds = np.full(4, 0.3)
  found = subgroups.measured(items, inside, thresholds, samples=40, seed=0)
  alone, rest = items.take(inside), items.take(~inside)
  area, other = (
    sklearn_metrics.roc_auc_score(one.labels == 1, one.probabilities[:, 1])
    for one in (alone, rest)
  )
  entry = found["melanoma"]
  assert entry["auroc"]["value"] == pytest.approx(area)
  assert entry["difference"]["auroc"]["value"] == pytest.approx(area - other)
  rates = [
    decisions.measured(one, thresholds, samples=5, seed=0)["melanoma"]
    for one in (alone, rest)
  ]
  for name in ("sensitivity", "specificity"):
    value, less = (rate[name]["value"] for rate in rates)
    assert entry[name]["value"] == pytest.approx(value)
    assert entry["difference"][name]["value"] == pytest.approx(value - less)
  assert entry["positives"] == (alone.labels == 1).sum() == 10
  # Nobody has this class, so that nothing is said.
  assert set(found["rare"]) == {"positives", "negatives"}


def test_a_group_whose_difference_is_known_is_covered():
  """The same chance of a hit inside and outside: a true difference of 0."""
  random = np.random.default_rng(0)
  covered = []
  for one in range(80):
    labels = np.arange(80) % 2
    chance = np.clip(0.5 + 0.2 * labels + random.normal(0, 0.2, 80), 0, 1)
    ids = np.arange(80).astype(str)
    items = study(
      unit="patient",
      class_names=("no", "yes"),
      labels=labels,
      probabilities=np.stack([1 - chance, chance], axis=1),
      patient_id=ids,
      bag_id=ids,
      row=ids,
      metadata={},
    )
    inside = random.random(80) < 0.4
    found = subgroups.measured(
      items, inside, np.full(2, 0.6), samples=100, seed=one
    )
    entry = found["yes"]["difference"]["auroc"]
    covered.append(entry["low"] <= 0 <= entry["high"])
  assert 0.86 <= np.mean(covered) <= 1


def test_two_sites_differ_by_what_they_are_apart_with_a_wider_interval():
  here, there = study(seed=0, patients=60), study(seed=5, patients=40)
  evaluation.check(here, there, paired=False)
  found = evaluation.evaluate(here, other=there, paired=False, samples=200)
  alone = [
    evaluation.evaluate(one, samples=200)["image"]["brier"]
    for one in (here, there)
  ]
  entry = found["difference"]["image"]["brier"]
  values = [one["value"] for one in alone]
  assert entry["value"] == pytest.approx(values[0] - values[1])
  assert found["paired"] is False
  # Variances of two independent means add.
  widths = [one["high"] - one["low"] for one in (*alone, entry)]
  assert widths[2] == pytest.approx(np.hypot(*widths[:2]), rel=0.15)


def scored(labels, patient, logits):
  """Two classes' predictions of images; logits (n,) of the second one."""
  chance = 1 / (1 + np.exp(-logits))
  return study(
    unit="image",
    class_names=("no", "yes"),
    labels=labels,
    probabilities=np.stack([1 - chance, chance], axis=1),
    patient_id=patient.astype(str),
    bag_id=patient.astype(str),
    row=np.arange(len(labels)).astype(str),
    metadata={},
  )


@pytest.mark.parametrize("paired", [True, False])
def test_a_difference_that_is_0_is_covered(paired):
  """Of two equally good models, and of one model at two equal sites."""
  random, covered = np.random.default_rng(1), []
  labels, patient = np.repeat(np.arange(40) % 2, 3), np.repeat(np.arange(40), 3)

  def noisy(case):
    return scored(labels, patient, case + random.normal(size=120))

  def cases():
    return 1.5 * labels + random.normal(size=40)[patient]

  for one in range(50):
    case = cases()
    here, there = noisy(case), noisy(case if paired else cases())
    found = evaluation.evaluate(
      here, other=there, paired=paired, samples=80, seed=one
    )
    entry = found["difference"]["image"]["mean_auroc"]
    covered.append(entry["low"] <= 0 <= entry["high"])
  assert 0.84 <= np.mean(covered) <= 1


def test_bands_cover_what_is_known_of_clustered_scores():
  """Sensitivity at a specificity of 0.8, and net benefit at 0.5."""
  normal, random = statistics.NormalDist(), np.random.default_rng(2)
  covered = []
  labels, patient = np.repeat(np.arange(40) % 2, 3), np.repeat(np.arange(40), 3)
  # Scores have a variance of 1 between and of 1 within patients.
  sensitivity = normal.cdf((2 + normal.inv_cdf(0.2) * 2**0.5) / 2**0.5)
  benefit = (normal.cdf(1 / 2**0.5) - normal.cdf(-1 / 2**0.5)) / 2
  for one in range(50):
    score = 2 * labels - 1 + random.normal(size=40)[patient]
    items = scored(labels, patient, score + random.normal(size=120))
    low, high = bands.bands(items, samples=80, seed=one)["roc"][1]
    below, above = bands.net_benefit(items, samples=80, seed=one)[1]
    covered.append(
      [low[10] <= sensitivity <= high[10], below[49] <= benefit <= above[49]]
    )
  assert (np.mean(covered, axis=0) >= 0.84).all()
