"""An evaluation from predictions to files, held against scikit-learn."""

import csv
import json

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn import metrics as sklearn_metrics

from tf_micle.evaluation import evaluate as evaluation
from tf_micle.evaluation import evaluation_notes, failures, metrics
from tf_micle.evaluation import saved as saved_files
from tf_micle.evaluation.predictions import Predictions
from tf_micle.evaluation.summary import summary
from tf_micle.system.input_error import InputError

NAMES = ("nevus", "melanoma", "wart", "rare")


def study(seed=0, patients=24, task="multi_class", **changes):
  """Three images a patient; nobody has the class "rare"."""
  random = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), 3)
  count = len(patient)
  labels = patient % 3
  scores = random.dirichlet(np.ones(4), count)
  scores[np.arange(count), labels] += 0.3
  scores /= scores.sum(axis=1, keepdims=True)
  if task == "multi_label":
    labels = random.choice([1, 0, -1, np.nan], (count, 4))
    labels[:, 3] = 0
  values = {
    "task": task,
    "class_names": NAMES,
    "unit": "image",
    "patient_id": [f"p{one}" for one in patient],
    "bag_id": [f"b{one}" for one in patient],
    "row": np.arange(count),
    "labels": labels,
    "probabilities": scores.astype(np.float32),
    "metadata": {"site": np.where(patient < 6, "A", "B")},
  }
  return Predictions(**{**values, **changes})


def no_nan(value):
  raise AssertionError(f"{value} is not JSON")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  folder = tmp_path_factory.mktemp("eval") / "test"
  table = study()
  table.labels[[0, 1, 3, 4, 5]] = [-1, 1, -1, -1, -1]
  result = evaluation.evaluate(table, samples=100)
  saved_files.save(result, table, folder)
  return folder, result


def test_values_are_scikit_learns_on_the_file(saved):
  folder, _ = saved
  found = json.loads(
    (folder / "metrics.json").read_text(), parse_constant=no_nan
  )
  with open(folder / "predictions.csv", newline="") as file:
    lines = [line for line in csv.DictReader(file)]
  for level in ("image", "patient"):
    groups = {}
    for i, line in enumerate(lines):
      groups.setdefault(line["patient_id"] if level == "patient" else i, [])
      groups[line["patient_id"] if level == "patient" else i].append(line)
    truth, scores = [], []
    for items in groups.values():
      labels = {line["label"] for line in items} - {""}
      if len(labels) == 1:
        truth.append(NAMES.index(labels.pop()))
        scores.append(
          np.mean(
            [
              [float(line[f"probability_{name}"]) for name in NAMES]
              for line in items
            ],
            axis=0,
          )
        )
    truth, scores = np.array(truth), np.array(scores)
    entry = found[level]
    assert entry["labelled"] == len(truth)
    assert entry["items"] == len(groups)
    assert entry["top1"]["value"] == sklearn_metrics.accuracy_score(
      truth, scores.argmax(axis=1)
    )
    means = {"auroc": [], "auprc": []}
    for c, name in enumerate(NAMES[:3]):
      for metric, function in (
        ("auroc", sklearn_metrics.roc_auc_score),
        ("auprc", sklearn_metrics.average_precision_score),
      ):
        means[metric].append(function(truth == c, scores[:, c]))
        assert entry[metric][name]["value"] == pytest.approx(means[metric][-1])
      assert entry["positives"][name] == (truth == c).sum()
    for metric, values in means.items():
      mean = entry[f"mean_{metric}"]
      assert mean["value"] == pytest.approx(np.mean(values))
      assert mean["low"] < mean["high"]
      assert entry[metric]["rare"] == {"value": None, "low": None, "high": None}


def test_notes_say_what_was_left_out(saved):
  notes = " ".join(saved[1]["notes"])
  # Patient p1 has no label; p0 has 1 and 0.
  assert "Without a label, and left out: 4 of 72 images." in notes
  assert "left out at patient level: 1 patient." in notes
  assert "no labelled item is a positive of this class: rare." in notes
  assert "only 23 patients are labelled" in notes
  assert "only 22 patients are labelled" in notes


def test_load_gives_back_what_was_saved(saved):
  folder, result = saved
  found, table = saved_files.load(folder)
  assert found == result
  assert evaluation.evaluate(table, samples=100) == result
  text = summary(found)
  assert f"{found['image']['top1']['value']:.3f}" in text
  assert "patient" in text
  assert found["notes"]
  for note in found["notes"]:
    assert text.count(f"- {note}") == 1


def test_load_refuses_what_is_no_whole_evaluation(saved, tmp_path):
  folder, result = saved
  with pytest.raises(InputError, match=r"FileNotFoundError.*metrics.json"):
    saved_files.load(tmp_path)
  (tmp_path / "metrics.json").write_text("[]")
  with pytest.raises(InputError, match="Expected the folder of an evaluation"):
    saved_files.load(tmp_path)
  (tmp_path / "metrics.json").write_text(json.dumps(result))
  lines = (folder / "predictions.csv").read_bytes().split(b"\r\n")
  (tmp_path / "predictions.csv").write_bytes(b"\r\n".join(lines[:-2]))
  with pytest.raises(InputError, match=r"Expected 72 items.*Received: 71"):
    saved_files.load(tmp_path)
  (tmp_path / "predictions.csv").write_bytes(lines[0] + b"\r\na,b")
  with pytest.raises(InputError, match=r"record 2: .*Received: 2\.$"):
    saved_files.load(tmp_path)


def test_only_damage_is_told_as_damage(saved, monkeypatch):
  folder, _ = saved

  def broken(*_, **__):
    raise ValueError("shapes apart")

  monkeypatch.setattr(saved_files, "read_csv", broken)
  with pytest.raises(ValueError, match="^shapes apart$"):
    saved_files.load(folder)


def test_a_save_that_fails_leaves_no_older_metrics(tmp_path):
  result = evaluation.evaluate(study(), samples=5)
  saved_files.save(result, study(), tmp_path)
  (tmp_path / "predictions.csv.writing").mkdir()
  with pytest.raises(OSError, match=r"predictions\.csv\.writing"):
    saved_files.save(result, study(seed=1), tmp_path)
  assert not (tmp_path / "metrics.json").exists()


def test_groups_are_evaluations_of_their_items():
  table = study()
  found = evaluation.evaluate(table, samples=50)["groups"]["site"]
  assert set(found) == {"A", "B"}
  alone = evaluation.evaluate(
    table.take(table.metadata["site"] == "A"), samples=50
  )["image"]
  assert found["A"]["patients"] == 6
  for name in ("items", "top1", "mean_auroc", "mean_auprc", "ece"):
    assert found["A"][name] == alone[name]
  assert "auroc" not in found["A"]


def test_a_column_of_many_values_is_no_grouping():
  metadata = {"age": np.arange(72), "sex": np.array(["", "f"] * 36)}
  found = evaluation.evaluate(study(metadata=metadata), samples=5)
  assert set(found["groups"]) == {"sex"}
  assert set(found["groups"]["sex"]) == {"(not stated)", "f", "(several)"}
  # Of patients, not of images.
  assert set(found["groups"]["sex"]["(several)"]) == {"by_patient"}
  assert any("'age' has 72 values" in note for note in found["notes"])


@pytest.mark.parametrize("task", ["multi_class", "multi_label"])
def test_a_model_does_not_differ_from_itself(task):
  table = study(task=task)
  shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
  found = evaluation.evaluate(
    table, other=evaluation.check(table, shuffled), samples=50
  )
  for level in ("image", "patient"):
    entries = dict(found["difference"][level])
    entries |= entries.pop("auroc")
    for name in ("auprc", "sensitivity"):
      entries |= {f"{name} {k}": v for k, v in entries.pop(name).items()}
    assert entries["mean_auroc"]["value"] == 0
    for entry in entries.values():
      assert set(entry.values()) in ({0}, {None}), entries


def test_difference_is_paired():
  """A slightly worse copy: the interval is narrow though both are wide."""
  table = study(patients=40)
  random = np.random.default_rng(1)
  noisy = table.probabilities + random.uniform(0, 0.05, (len(table), 4))
  worse = study(
    patients=40, probabilities=noisy / noisy.sum(axis=1, keepdims=True)
  )
  found = evaluation.evaluate(table, other=worse, samples=200)
  alone = evaluation.evaluate(worse, samples=200)["image"]["mean_auroc"]
  ours, difference = (
    found["image"]["mean_auroc"],
    found["difference"]["image"]["mean_auroc"],
  )
  assert difference["value"] == pytest.approx(ours["value"] - alone["value"])
  assert difference["low"] < difference["value"] < difference["high"]
  width = difference["high"] - difference["low"]
  assert width < 0.5 * (alone["high"] - alone["low"])


@pytest.mark.parametrize(
  ("other", "message"),
  [
    (study(patients=23), "3 of 72 items missing in the other, 0 of its 69"),
    (study(labels=np.zeros(72, int)), "48 labels apart"),
    (study(class_names=("a", "b", "c", "d")), "class_names to be the same"),
    (study(unit="bag"), "unit to be the same, image"),
    (study(task="multi_label"), "task to be the same"),
    (study(row=["0"] * 72), "48 repeated items"),
  ],
)
def test_other_items_cannot_be_compared(other, message):
  with pytest.raises(InputError, match=message):
    evaluation.check(study(), other)


def test_a_note_of_both_levels_is_told_once():
  notes = ["At image level a.", "b", "At patient level a.", "At image level c."]
  assert evaluation_notes.once([*notes, "b"]) == [
    "At image and patient level a.",
    "b",
    "At image level c.",
  ]


def test_findings_and_their_notes():
  table = study(task="multi_label")
  found = evaluation.evaluate(table, samples=50)
  json.dumps(found, allow_nan=False)
  assert "top1" not in found["image"]
  assert found["image"]["auroc"]["rare"]["value"] is None
  uncertain = (table.labels == -1).sum()
  note = f"Uncertain, and left out: {uncertain} of 288 findings at image level."
  assert note in found["notes"]
  direct = metrics.measure(table.labels, table.probabilities)
  assert found["image"]["mean_auprc"]["value"] == float(direct["mean_auprc"])


def test_an_interval_that_few_resamples_define_is_not_given():
  # The first finding is stated of p0 and p1 only, and the second of all four.
  # Both p0 and p1 are in 43% of resamples: 1 - 2 (3/4)^4 + (2/4)^4.
  labels = np.full((12, 4), np.nan)
  labels[:3, 0], labels[3:6, 0], labels[:, 1] = 1, 0, [0] * 3 + [1] * 9
  found = evaluation.evaluate(
    study(patients=4, task="multi_label", labels=labels, metadata={}),
    samples=400,
  )["image"]["auroc"]
  assert found["nevus"]["value"] is not None
  assert found["nevus"]["low"] is None
  assert found["melanoma"]["low"] is not None


def test_absent_classes_of_resamples_and_single_patients_are_said():
  # p0, the only one of class 1, is absent from (3/4)^4 of the resamples.
  table = study(patients=4, labels=[1] * 3 + [0] * 9, metadata={})
  found = evaluation.evaluate(table, samples=400)
  assert found["image"]["auroc"]["melanoma"]["low"] is not None
  assert "no positives or no negatives of nevus (" in " ".join(found["notes"])
  one = evaluation.evaluate(table.take(range(3)), samples=10)
  assert one["image"]["brier"]["value"] is not None
  assert one["image"]["brier"]["low"] is None
  assert "1 patient is labelled: intervals by" in " ".join(one["notes"])


def test_proportions_of_0_and_1_have_exact_intervals_over_patients(tmp_path):
  """0.025 ** (1 / 4) = 0.3976 of four patients; of their 12 images, 0.7354."""
  labels = np.repeat([0, 1, 1, 2], 3)
  right = study(patients=4, labels=labels, probabilities=np.eye(4)[labels])
  found = evaluation.evaluate(right, samples=50)
  exact = {"value": 1, "low": 0.025**0.25, "high": 1, "method": "exact"}
  for level in ("image", "patient"):
    assert found[level]["top1"] == pytest.approx(exact)
    sensitivity = found[level]["sensitivity"]
    # One patient, and two: 0.025 ** (1 / 2) = 0.1581.
    assert sensitivity["nevus"]["low"] == pytest.approx(0.025)
    assert sensitivity["melanoma"]["low"] == pytest.approx(0.1581, abs=1e-4)
    assert sensitivity["rare"] == {"value": None, "low": None, "high": None}
    # No proportion: the resamples say nothing, and a mark says that.
    assert found[level]["mean_auroc"] == {"value": 1, "low": 1, "high": 1}
  for count in (1, 3, 30):
    table = study(patients=count, labels=[0] * 3 * count, metadata={})
    table.probabilities[:] = np.eye(4)[1]
    wrong = evaluation.evaluate(table, samples=20)["patient"]["top1"]
    theirs = scipy_stats.binomtest(0, count).proportion_ci(method="exact")
    assert (wrong["low"], wrong["high"]) == pytest.approx(theirs), count
  text = summary(found)
  assert "1.000  0.398 to 1.000, exact" in text
  assert "1.000  1.000 to 1.000 *\n" in text
  assert "\n* No width: the resamples agree" in text
  # Of a version that knew no exact intervals.
  old = json.loads(json.dumps(found).replace(', "method": "exact"', ""))
  saved_files.save(old, right, tmp_path)
  assert saved_files.load(tmp_path)[0] == old
  assert "1.000  0.398 to 1.000\n" in summary(old)


def test_patients_as_items_give_one_level():
  found = evaluation.evaluate(study(unit="patient"), samples=5)
  assert "image" not in found
  assert found["patient"]["items"] == 72


def test_user_errors():
  with pytest.raises(ValueError, match="Received: 90"):
    evaluation.evaluate(study(), specificity=90)
  with pytest.raises(InputError, match="72 items, none with a label"):
    evaluation.check(study(labels=[-1] * 72))


def test_point_values_are_flat_and_defined():
  table = study()
  found = evaluation.point_values(table.labels, table.probabilities)
  assert all(type(value) is float for value in found.values())
  assert {"top1", "balanced_accuracy", "mean_auroc", "brier"} < set(found)
  none = evaluation.point_values(np.full(3, -1), np.full((3, 4), 0.25))
  assert none == {}


def test_the_most_wrong_are_of_every_class_and_of_each_patient_once():
  table = study()  # Three images a patient, all of one class.
  found = failures.most_wrong(table, 6)
  truth = table.probabilities[np.arange(72), table.labels]
  wrong = table.probabilities.argmax(axis=1) != table.labels
  expected = []
  for c in range(3):
    worst = {}
    for item in np.flatnonzero(wrong & (table.labels == c)):
      patient = table.patient_id[item]
      if patient not in worst or truth[item] < truth[worst[patient]]:
        worst[patient] = item
    own = sorted(worst.values(), key=lambda item: truth[item])[:2]
    expected += [(item, c, truth[item]) for item in own]
  assert len(expected) == 6
  assert found == expected
