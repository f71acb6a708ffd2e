"""Intervals: coverage on data whose truth is known, pairing, edge cases."""

import statistics

import numpy as np
import pytest

from tf_micle.evaluation import bootstrap, resampled_metrics

SHIFT, ITEMS, PATIENTS = 1.5, 5, 60
# Scores of a positive and a negative image differ by N(SHIFT, 4): a variance
# of 1 between and of 1 within patients, of each.
TRUE_AUROC = statistics.NormalDist().cdf(SHIFT / 2)


def simulated_study(random):
  """Five images a patient, which share the label and half of the variance."""
  truth = np.arange(PATIENTS) % 2
  score = SHIFT * truth + random.normal(size=PATIENTS)
  patient = np.repeat(np.arange(PATIENTS), ITEMS)
  score = score[patient] + random.normal(size=len(patient))
  # Squeezed into [0, 1]; AUROC depends on the order only.
  score = 1 / (1 + np.exp(-score))
  return truth[patient], np.stack([1 - score, score], axis=1), patient


def interval_of_auroc(labels, scores, clusters, seed):
  samples = bootstrap.replicates(
    resampled_metrics.of_weights(labels, scores),
    clusters,
    samples=200,
    seed=seed,
  )
  low, high = bootstrap.interval(samples["auroc"][:, 1])
  return float(low), float(high)


def test_intervals_over_patients_cover_and_over_items_do_not():
  random = np.random.default_rng(0)
  covered = {"patients": [], "items": []}
  widths = {"patients": [], "items": []}
  for study in range(200):
    labels, scores, patient = simulated_study(random)
    clusters = {"patients": patient}
    if study < 60:  # Enough to see that these are too narrow.
      clusters["items"] = np.arange(len(labels))
    for over, ids in clusters.items():
      low, high = interval_of_auroc(labels, scores, ids, seed=study)
      covered[over].append(low <= TRUE_AUROC <= high)
      widths[over].append(high - low)
  assert 0.88 <= np.mean(covered["patients"]) <= 0.99
  assert np.mean(covered["items"]) < 0.85
  assert np.mean(widths["items"]) < 0.75 * np.mean(widths["patients"])


def test_a_patients_items_are_drawn_together_and_n_patients_each_time():
  patients = np.array(["b", "a", "b", "c", "a", "b"])
  drawn = bootstrap.replicates(
    lambda weights: {"weights": weights}, patients, samples=300, seed=1
  )["weights"]
  assert drawn.shape == (300, 6)
  assert (drawn[:, [0, 0, 1]] == drawn[:, [2, 5, 4]]).all()
  assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()
  # Each patient once on average: 300 draws, a standard error of 0.05.
  np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.2)


def test_resamples_depend_on_the_seed_and_the_patients_only(monkeypatch):
  def draw(patients, seed=3):
    return bootstrap.replicates(
      lambda weights: {"weights": weights}, patients, samples=50, seed=seed
    )["weights"]

  patients = np.array(["a", "b", "c", "d"])
  first = draw(patients)
  # Another order, and more items: still the same patients in each resample.
  again = draw(np.array(["d", "c", "c", "b", "a", "a"]))
  np.testing.assert_array_equal(again[:, [4, 3, 1, 0]], first)
  monkeypatch.setattr(bootstrap, "_PAIRS_AT_ONCE", 9)
  np.testing.assert_array_equal(draw(patients), first)
  assert (draw(patients, seed=4) != first).any()


def test_one_patient_has_no_interval():
  found = bootstrap.replicates(
    lambda weights: {"mean": weights @ np.ones((2, 3))}, ["a", "a"], samples=7
  )
  assert found["mean"].shape == (7, 3)
  assert np.isnan(found["mean"]).all()


def test_interval_is_the_percentiles_of_what_is_defined():
  samples = np.full((202, 3), np.nan)
  samples[:101, 0] = np.arange(101)
  samples[:100, 1] = 1
  samples[:, 2] = 5
  low, high = bootstrap.interval(samples)
  np.testing.assert_allclose(low, [2.5, np.nan, 5])
  np.testing.assert_allclose(high, [97.5, np.nan, 5])


def test_samples_are_checked():
  with pytest.raises(ValueError, match="samples=0"):
    bootstrap.replicates(lambda weights: {}, ["a", "b"], samples=0)
