"""Thresholds: what a rule asks for, rates at them, and their way to users."""

import csv
import json
import shutil

import clinic as clinics
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics
from test_bootstrap import simulated_study
from test_evaluation import study

import run
from data.builder import build
from tf_micle.evaluation import calibration, decisions, operating_points
from tf_micle.evaluation.predictions import by_patient


def naive(truth, score, rule):
  """The best (sensitivity, specificity) of every cut there is."""
  name, _, goal = rule.partition("=")
  best = None
  for cut in [*np.unique(score), 2.0]:
    sensitivity = np.mean([s >= cut for t, s in zip(truth, score) if t])
    specificity = np.mean([s < cut for t, s in zip(truth, score) if not t])
    if name == "youden":
      key = (round(sensitivity + specificity, 9), cut)
    elif name == "sensitivity":
      key = (sensitivity >= float(goal), specificity, sensitivity)
    else:
      key = (specificity >= float(goal), sensitivity, specificity)
    if best is None or key > best[0]:
      best = key, (sensitivity, specificity)
  return best[1]


@pytest.mark.parametrize(
  "rule", ["youden", "sensitivity=0.95", "specificity=0.9", "specificity=0.99"]
)
def test_a_threshold_is_the_best_of_all_cuts(rule):
  random = np.random.default_rng(0)
  for _ in range(30):
    truth = random.random(40) < 0.4
    score = np.round(random.random(40) * 0.7 + 0.3 * truth, 1)  # Ties.
    one = operating_points.threshold(truth, score, rule)
    assert 0 < one <= 1
    called = score >= one
    found = called[truth].mean(), 1 - called[~truth].mean()
    np.testing.assert_allclose(found, naive(truth, score, rule))
  assert operating_points.threshold(np.ones(3, bool), score[:3], rule) is None
  # Scores at the ends, and two that have no number between them.
  for scores in ([1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [np.nextafter(0.6, 1), 0.6]):
    truth, score = np.arange(len(scores)) == 0, np.array(scores)
    called = score >= operating_points.threshold(truth, score, rule)
    found = called[truth].mean(), 1 - called[~truth].mean()
    np.testing.assert_allclose(found, naive(truth, score, rule))


def test_rates_are_scikit_learns_and_exact_at_their_limits():
  items = by_patient(study(patients=30))
  thresholds = np.array([0.3, 0.3, np.nan, 0.3])
  found = decisions.measured(items, thresholds, samples=50, seed=0)
  called = items.probabilities[:, 0] >= 0.3
  (tn, fp), (fn, tp) = sklearn_metrics.confusion_matrix(
    items.labels == 0, called
  )
  expected = {
    "sensitivity": (tp, tp + fn),
    "specificity": (tn, tn + fp),
    "ppv": (tp, tp + fp),
    "npv": (tn, tn + fn),
  }
  for rate, (part, whole) in expected.items():
    entry = found["nevus"][rate]
    assert (entry["numerator"], entry["denominator"]) == (part, whole)
    assert entry["value"] == pytest.approx(part / whole)
    if part == whole:
      exact = stats.binomtest(int(part), int(whole)).proportion_ci()
      assert entry["method"] == "exact"
      assert entry["low"] == pytest.approx(exact.low)
    else:
      assert entry["low"] <= entry["value"] <= entry["high"]
  assert found["wart"]["threshold"] is None
  assert found["wart"]["ppv"]["value"] is None
  # Nobody has this class: no sensitivity, and it is not 0.
  assert found["rare"]["sensitivity"]["value"] is None
  json.dumps(found, allow_nan=False)


def test_intervals_of_rates_cover_where_patients_have_several_images():
  """The true sensitivity at 0.5: two images' scores share half a variance."""
  random = np.random.default_rng(1)
  true = stats.norm.cdf(1.5 / np.sqrt(2))
  covered = []
  for one in range(150):
    labels, scores, patient = simulated_study(random)
    items = study(
      patients=100,
      class_names=("no", "yes"),
      labels=labels,
      probabilities=scores,
      patient_id=patient.astype(str),
      bag_id=patient.astype(str),
      row=np.arange(len(labels)),
      metadata={},
    )
    found = decisions.measured(items, np.full(2, 0.5), samples=200, seed=one)
    entry = found["yes"]["sensitivity"]
    covered.append(entry["low"] <= true <= entry["high"])
  assert 0.87 <= np.mean(covered) <= 0.99


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
  return clinics.make(tmp_path_factory.mktemp("clinic"))


@pytest.fixture(scope="module")
def tuned(clinic, tmp_path_factory):
  folder = tmp_path_factory.mktemp("tuned") / "run"
  return clinics.fine_tuned(clinic, folder, operating_point="specificity=0.5")


def evaluated(tuned, **changes):
  given = {"mode": "eval", "model_dir": tuned, "bootstrap_samples": 20}
  assert clinics.tiny.command(**given, **changes) == run.DONE
  name = "test" if "data_dir" not in changes else "other-test"
  folder = tuned / "eval" / name
  return json.loads((folder / "metrics.json").read_text()), folder


def test_thresholds_do_not_move_when_the_test_split_changes(clinic, tuned):
  kept = (tuned / operating_points.FILE_NAME).read_bytes()
  points = operating_points.read(tuned)
  assert points.rule == "specificity=0.5"
  assert points.data.endswith("validation")
  with open(clinic / "labelled.csv", newline="") as file:
    rows = list(csv.reader(file))
  other = {"a": "b", "b": "a"}
  for row in rows:  # All labels of the test split are turned round.
    row[2] = other.get(row[2], row[2]) if row[3] == "test" else row[2]
  rows.remove([row for row in rows if row[3] == "test"][0])
  clinics.write_manifest(clinic / "other.csv", rows[1:], 4)
  build.build(
    build.BuildOptions(
      str(clinic / "other.csv"),
      str(clinic),
      str(clinic / "other"),
      id_key_file=f"{clinic / 'records'}.id_key",
      max_side=100,
      workers=1,
    )
  )
  one, folder = evaluated(tuned, eval_split="test")
  two, other_folder = evaluated(
    tuned, eval_split="test", data_dir=clinic / "other", compare=folder
  )
  # Of two data sets the difference is not paired, and who is in both is said.
  assert two["paired"] is False
  difference = two["difference"]["patient"]["brier"]["value"]
  values = [found["patient"]["brier"]["value"] for found in (two, one)]
  assert difference == pytest.approx(values[0] - values[1])
  assert any("2 patients are in both data sets" in n for n in two["notes"])
  assert "unpaired" in (other_folder / "report.html").read_text()
  for level in ("image", "patient"):
    # What is measured has changed all the same.
    assert one[level]["brier"] != two[level]["brier"]
    for name in "ab":
      rates = one[level]["decisions"][name], two[level]["decisions"][name]
      expected = points.thresholds[level][name]
      assert rates[0]["threshold"] == rates[1]["threshold"] == expected
  assert (tuned / operating_points.FILE_NAME).read_bytes() == kept
  assert (folder / "model_card.md").exists()
  assert list((folder / "figures").glob("*.svg"))
  assert "Decisions at fixed thresholds" in (folder / "report.html").read_text()


def test_prediction_decides_and_has_rows_of_patients(clinic, tuned, tmp_path):
  predict = clinics.predictor(clinic, tuned, tmp_path)
  points = operating_points.read(tuned)
  assert predict() == run.DONE
  images = clinics.read(tmp_path / "out.csv")
  assert predict(unit="patient", output=tmp_path / "by.csv") == run.DONE
  patients = clinics.read(tmp_path / "by.csv")
  assert len(patients) == 8
  assert list(patients[0])[:2] == ["row", "patient_id"]
  for row in patients:
    own = [one for one in images if one["patient_id"] == row["patient_id"]]
    assert row["row"].split() == [one["row"] for one in own]
    for name in "ab":
      chances = [float(one[f"probability_{name}"]) for one in own]
      mean = float(row[f"probability_{name}"])
      assert mean == pytest.approx(np.mean(chances), abs=1e-6)
      for one, level in [(row, "patient"), (own[0], "image")]:
        chance = float(one[f"probability_{name}"])
        called = chance >= points.thresholds[level][name]
        assert one[f"decision_{name}"] == str(int(called))


def test_a_run_without_thresholds_works_and_says_so(
  clinic, tuned, tmp_path, caplog, capsys
):
  older = shutil.copytree(tuned, tmp_path / "older")
  (older / operating_points.FILE_NAME).unlink()
  result, folder = evaluated(older, eval_split="test")
  assert operating_points.MISSING in result["notes"]
  assert "decisions" not in result["image"]
  assert "no thresholds" in (folder / "report.html").read_text()
  predict = clinics.predictor(clinic, older, tmp_path)
  assert predict() == run.DONE
  assert operating_points.MISSING in caplog.text
  assert "decision_a" not in clinics.read(tmp_path / "out.csv")[0]
  plain = clinics.read(tmp_path / "out.csv")
  # How to get them, as the line says; with a calibration, this time.
  given = {"operating_point": "specificity=0.5", "calibrate": True}
  clinics.fine_tuned(clinic, older, **given)
  again, before = (operating_points.read(one) for one in (older, tuned))
  assert again.thresholds.keys() == before.thresholds.keys()
  (tmp_path / "out.csv").unlink()
  assert predict() == run.DONE
  for one, other in zip(plain, clinics.read(tmp_path / "out.csv")):
    raw, found = (
      np.array([[float(row[f"probability_{name}"]) for name in "ab"]])
      for row in (one, other)
    )
    expected = calibration.apply(again.calibration, raw, "multi_class")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    called = found[0, 0] >= again.thresholds["image"]["a"]
    assert other["decision_a"] == str(int(called))
  assert predict(unit="bag", output=tmp_path / "b.csv") == run.BAD_USE
  assert "--unit=image or patient" in capsys.readouterr().err
