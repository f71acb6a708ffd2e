"""Calibration, decision curves and bands, held against others' code."""

import dataclasses

import numpy as np
import pytest
from scipy import special
from sklearn import linear_model
from sklearn import metrics as sklearn_metrics
from test_bootstrap import simulated_study
from test_evaluation import study

from tf_micle.evaluation import bands, calibration, curves


def findings(scale, shift, count=4000, classes=2):
  """Findings of logits x, true with probability sigmoid(scale * x + shift)."""
  random = np.random.default_rng(0)
  logits = random.normal(size=(count, classes)) * 2
  truth = random.random((count, classes)) < special.expit(
    scale * logits + shift
  )
  ids = np.arange(count).astype(str)
  return study(
    task="multi_label",
    class_names=tuple("abcd"[:classes]),
    labels=truth.astype(float),
    probabilities=special.expit(logits),
    patient_id=ids,
    bag_id=ids,
    row=ids,
    metadata={},
  )


def logistic(x, truth):
  model = linear_model.LogisticRegression(C=1e12, tol=1e-10, max_iter=1000)
  model.fit(x[:, None], truth)
  return model.intercept_[0], model.coef_[0, 0]


def test_intercept_and_slope_are_a_logistic_regressions():
  items = findings(0.6, -0.4, count=400)
  found = calibration.measured(items, samples=40, seed=0)
  for c, name in enumerate("ab"):
    x = special.logit(items.probabilities[:, c])
    _, slope = logistic(x, items.labels[:, c])
    assert found[name]["slope"]["value"] == pytest.approx(slope, abs=1e-4)
    # With the slope held at 1, sums of truth and of probabilities agree.
    intercept = found[name]["intercept"]["value"]
    total = special.expit(x + intercept).sum()
    assert total == pytest.approx(items.labels[:, c].sum(), abs=1e-4)
    for what, true in (("slope", 0.6), ("intercept", -0.4)):
      entry = found[name][what]
      assert entry["low"] < entry["value"] < entry["high"]
      assert what == "intercept" or entry["low"] < true < entry["high"]
  apart = dataclasses.replace(items, labels=np.round(items.probabilities))
  found = calibration.measured(apart, samples=5, seed=0)
  assert found["a"]["slope"]["value"] is None


@pytest.mark.parametrize("scale", [0.02, -0.1])
def test_slopes_near_zero_are_found(scale):
  """From a slope of 1 and saturated probabilities Newton's steps never end."""
  found = findings(1.0, 0.0, count=200).probabilities
  items = findings(scale * 4, -0.4, count=200)
  items = dataclasses.replace(
    items, probabilities=special.expit(4 * special.logit(found))
  )
  found = calibration.measured(items, samples=40, seed=0)
  for c, name in enumerate("ab"):
    x = special.logit(items.probabilities[:, c].clip(1e-7, 1 - 1e-7))
    _, slope = logistic(x, items.labels[:, c])
    entry = found[name]["slope"]
    assert entry["value"] == pytest.approx(slope, abs=1e-4)
    assert entry["low"] < slope < entry["high"]
    assert entry["high"] - entry["low"] < 0.3


def test_the_intervals_of_a_slope_cover_with_several_images_a_patient():
  """Scores N(+-1.5 / 2, 2) have the logit 1.5 / 2 * score: its slope is 1."""
  random = np.random.default_rng(3)
  covered = []
  for one in range(80):
    labels, scores, patient = simulated_study(random)
    score = special.logit(scores[:, 1]) - 0.75
    chance = special.expit(0.75 * score)
    items = study(
      patients=100,
      class_names=("no", "yes"),
      labels=labels,
      probabilities=np.stack([1 - chance, chance], axis=1),
      patient_id=patient.astype(str),
      bag_id=patient.astype(str),
      row=np.arange(len(labels)),
      metadata={},
    )
    entry = calibration.measured(items, samples=100, seed=one)["yes"]["slope"]
    covered.append(entry["low"] <= 1 <= entry["high"])
  assert 0.85 <= np.mean(covered) <= 1


def test_platt_and_temperature_find_what_bent_the_probabilities():
  items = findings(0.5, 0.7)
  fitted = calibration.fit(items)
  for c in range(2):
    shift, scale = logistic(
      special.logit(items.probabilities[:, c]), items.labels[:, c]
    )
    assert fitted["scale"][c] == pytest.approx(scale, abs=5e-3)
    assert fitted["shift"][c] == pytest.approx(shift, abs=5e-3)
  straight = dataclasses.replace(
    items,
    probabilities=calibration.apply(fitted, items.probabilities, "multi_label"),
  )
  again = calibration.measured(straight, samples=5, seed=0)["a"]
  assert again["slope"]["value"] == pytest.approx(1, abs=0.01)
  assert again["intercept"]["value"] == pytest.approx(0, abs=0.01)

  random = np.random.default_rng(0)
  logits = random.normal(size=(3000, 4))
  truth = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
  ids = np.arange(3000).astype(str)
  items = study(
    labels=truth,
    probabilities=special.softmax(3 * logits, axis=1),  # Three times too sure.
    patient_id=ids,
    bag_id=ids,
    row=ids,
    metadata={},
  )
  fitted = calibration.fit(items)
  losses = {
    scale: sklearn_metrics.log_loss(
      truth,
      calibration.apply(
        {"scale": [scale] * 4, "shift": [0] * 4},
        items.probabilities,
        "multi_class",
      ),
    )
    for scale in (fitted["scale"][0], *np.linspace(0.2, 1, 81))
  }
  assert min(losses, key=losses.get) == fitted["scale"][0]
  assert fitted["scale"][0] == pytest.approx(1 / 3, abs=0.03)
  # All right: ever larger scales would fit ever better, and say ever less.
  apart = dataclasses.replace(items, labels=items.probabilities.argmax(axis=1))
  assert calibration.fit(apart) == {"scale": [1.0] * 4, "shift": [0.0] * 4}


def test_net_benefit_by_hand():
  """Four items: at 0.5 two are called, one of them rightly."""
  labels = np.array([[1.0], [0.0], [0.0], [1.0]])
  chances = np.array([[0.9], [0.6], [0.1], [0.2]])
  (found,) = curves.net_benefit(labels, chances)
  thresholds, model, everybody = found
  assert thresholds[49] == 0.5
  assert model[49] == pytest.approx(1 / 4 - 1 / 4 * 1)
  assert everybody[49] == pytest.approx(2 / 4 - 2 / 4 * 1)
  # At 0.2: three are called, two rightly; a false alarm costs a quarter.
  assert model[19] == pytest.approx(2 / 4 - 1 / 4 * 0.25)
  assert model[98] == 0


def test_bands_are_round_the_curves_and_as_naive_ones():
  items = study(patients=24)
  found = bands.bands(items, samples=60, seed=0)
  truth, score = items.labels == 1, items.probabilities[:, 1]
  # The same resamples, by repeating images.
  random = np.random.default_rng(0)
  patients, of = np.unique(items.patient_id, return_inverse=True)
  roc, pr, first, benefit = [], [], [], []
  for _ in range(60):
    drawn = random.integers(len(patients), size=len(patients))
    index = np.concatenate([np.flatnonzero(of == one) for one in drawn])
    fpr, tpr, _ = sklearn_metrics.roc_curve(
      truth[index], score[index], drop_intermediate=False
    )
    roc.append(np.interp(0.2, fpr, tpr))
    precision, recall, _ = sklearn_metrics.precision_recall_curve(
      truth[index], score[index]
    )
    # Recall falls: the last that is enough is that of the highest threshold.
    pr.append(precision[np.flatnonzero(recall >= 0.5 - 1e-12)[-1]])
    first.append(precision[-2])  # Of the highest threshold; a 1 follows.
    drawn = curves.net_benefit(items.labels[index], items.probabilities[index])
    benefit.append(drawn[1][1][29])
  low, high = found["pr"][1]
  place = np.flatnonzero(np.isclose(bands.GRID, 0.5))[0]
  expected = np.quantile(pr, [0.025, 0.975])
  np.testing.assert_allclose([low[place], high[place]], expected)
  expected = np.quantile(first, [0.025, 0.975])
  np.testing.assert_allclose([low[0], high[0]], expected)
  at = np.flatnonzero(np.isclose(bands.GRID, 0.2))[0]
  expected = np.quantile(roc, [0.025, 0.975])
  low, high = found["roc"][1]
  np.testing.assert_allclose([low[at], high[at]], expected, atol=1e-9)
  assert np.isnan(found["roc"][3][0]).all()  # Nobody has this class.
  low, high = bands.net_benefit(items, samples=60, seed=0)[1]
  expected = np.quantile(benefit, [0.025, 0.975])
  np.testing.assert_allclose([low[29], high[29]], expected)

  ((low, high),) = bands.reliability(items, samples=60, seed=0)
  _, observed, count = curves.reliability(items.labels, items.probabilities)
  # Naively: the share that is right among a bin's images of each resample.
  right = items.probabilities.argmax(axis=1) == items.labels
  edges = np.linspace(0, 1, 16)
  of_image = np.digitize(items.probabilities.max(axis=1), edges[1:-1], True)
  fullest = count[0].argmax()
  random = np.random.default_rng(0)
  shares = []
  for _ in range(60):
    drawn = random.integers(len(patients), size=len(patients))
    index = np.concatenate([np.flatnonzero(of == one) for one in drawn])
    shares.append(right[index][of_image[index] == fullest].mean())
  expected = np.quantile(shares, [0.025, 0.975])
  np.testing.assert_allclose([low[fullest], high[fullest]], expected)
  assert low[fullest] <= observed[0][fullest] <= high[fullest]
