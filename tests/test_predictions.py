"""The predictions table, its file, and the rule from items to patients."""

import csv

import numpy as np
import pytest

from tf_micle.evaluation import predictions_csv
from tf_micle.evaluation.predictions import (
  Predictions,
  by_patient,
  patients_with_several_labels,
)
from tf_micle.system.input_error import InputError
from tf_micle.system.written_whole import written_whole

NAMES = ("mole", "=cmd()", "-5", "'quoted")


def of_labels(labels, patients, **changes):
  count = len(labels)
  random = np.random.default_rng(0)
  values = {
    "task": "multi_class",
    "class_names": NAMES,
    "unit": "image",
    "patient_id": patients,
    "bag_id": [f"{patient}/1" for patient in patients],
    "row": [str(i) for i in range(count)],
    "labels": labels,
    "probabilities": random.dirichlet(np.ones(4), count).astype(np.float32),
    "metadata": {"site": ["@A", "line\r\nbreak", 'a "b", c', ""][:count]},
  }
  return Predictions(**{**values, **changes})


def of_findings(labels, patients):
  return of_labels(labels, patients, task="multi_label")


def read_back(table, path):
  return predictions_csv.read_csv(
    path, task=table.task, class_names=table.class_names, unit=table.unit
  )


@pytest.mark.parametrize(
  "table",
  [
    of_labels([0, 1, -1, 3], ["p", "p", "q", "=r"]),
    of_findings([[1, 0, -1, np.nan]] * 4, ["p", "p", "q", "r"]),
    of_labels([], [], probabilities=np.zeros((0, 4)), metadata={"site": []}),
  ],
)
def test_the_file_gives_the_table_back_exactly(table, tmp_path):
  path = tmp_path / "predictions.csv"
  predictions_csv.write_csv(table, path)
  back = read_back(table, path)
  for name in ("patient_id", "bag_id", "row", "labels", "probabilities"):
    np.testing.assert_array_equal(getattr(back, name), getattr(table, name))
  assert back.class_names == table.class_names
  assert list(back.metadata) == ["site"]
  np.testing.assert_array_equal(back.metadata["site"], table.metadata["site"])
  assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]


def test_no_cell_is_a_formula(tmp_path):
  path = tmp_path / "predictions.csv"
  predictions_csv.write_csv(
    of_labels([1, 2, 3, -1], ["=p", "q", "r", "s"]), path
  )
  with open(path, newline="") as file:
    lines = list(csv.DictReader(file))
  assert [line["label"] for line in lines] == ["'=cmd()", "-5", "''quoted", ""]
  assert lines[0]["patient_id"] == "'=p"
  assert lines[0]["metadata_site"] == "'@A"
  assert lines[1]["metadata_site"] == "line\r\nbreak"


@pytest.mark.parametrize("binary", [False, True])
def test_a_failed_write_leaves_the_old_file(tmp_path, binary):
  path = tmp_path / "file"
  path.write_text("old")
  with pytest.raises(TypeError), written_whole(path, binary=binary) as file:
    file.writelines([b"half" if binary else "half", None])
  assert path.read_text() == "old"
  assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
  ("old", "new", "message"),
  [
    ("probability_mole", "probability_nevus", "expected the columns"),
    ("mole,0.", "nevus,0.", "record 2: expected a label of"),
    (",-5,0.", ",-5,x.", "numbers for probabilities"),
    ("p,p/1,0,", "p,0,", "expected 9 cells"),
    ("p,p/1,0,", '"p,p/1,0,', "Expected a whole CSV file"),
    ("mole,0.", "mole,9.", "between 0 and 1"),
  ],
)
def test_a_file_that_does_not_fit_says_why(old, new, message, tmp_path):
  table = of_labels([0, 2], ["p", "q"])
  path = tmp_path / "predictions.csv"
  predictions_csv.write_csv(table, path)
  text = path.read_text()
  assert old in text
  path.write_text(text.replace(old, new, 1))
  with pytest.raises(InputError, match=message):
    read_back(table, path)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"task": "regression"}, "Expected a task"),
    ({"unit": "lesion"}, "Expected a unit"),
    ({"class_names": ("a", "a", "b", "c")}, "all different"),
    ({"class_names": ("a", "", "b", "c")}, "not empty"),
    ({"class_names": ("a", "b")}, "Expected the shapes"),
    ({"labels": [0, 4]}, r"Received: \[4\]"),
    ({"labels": [0, -2]}, r"Received: \[-2\]"),
    ({"probabilities": np.full((2, 4), np.nan)}, "8 in all"),
    ({"metadata": {"site": ["a"]}}, "metadata"),
  ],
)
def test_a_table_that_does_not_fit_says_why(changes, message):
  with pytest.raises(ValueError, match=message) as caught:
    of_labels(**{"labels": [0, 1], "patients": ["p", "q"], **changes})
  # A model that has diverged is its user's to mend, the rest a fault of ours.
  assert isinstance(caught.value, InputError) == ("probabilities" in changes)


def test_patients_of_labels():
  # a: agree, b: one known, c: differ, d: none known; items interleaved.
  patients = ["a", "c", "b", "d", "a", "c", "b"]
  table = of_labels(
    [2, 0, 1, -1, 2, 1, -1],
    patients,
    metadata={"site": list("xyzwxvz")},
  )
  merged = by_patient(table)
  assert merged.unit == "patient"
  assert merged.patient_id.tolist() == ["a", "c", "b", "d"]
  assert merged.labels.tolist() == [2, -1, 1, -1]
  assert merged.row.tolist() == ["0 4", "1 5", "2 6", "3"]
  assert merged.bag_id.tolist() == ["a/1", "c/1", "b/1", "d/1"]
  assert merged.metadata["site"].tolist() == ["x", "(several)", "z", "w"]
  np.testing.assert_allclose(
    merged.probabilities[1],
    (table.probabilities[1] + table.probabilities[5]) / 2,
  )
  assert patients_with_several_labels(table) == ["c"]


def test_patients_of_findings():
  nan = np.nan
  table = of_findings(
    [[0, 0, nan, nan], [-1, 0, 0, nan], [1, -1, nan, nan]], ["p"] * 3
  )
  merged = by_patient(table)
  np.testing.assert_array_equal(merged.labels, [[1, -1, 0, nan]])
  assert patients_with_several_labels(table) == []
