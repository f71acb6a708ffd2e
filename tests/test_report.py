"""report.html: one page, nothing from outside, nothing run, nothing hidden."""

import base64
import csv
import dataclasses
import html.parser
import json
import re
import types

import numpy as np
import pytest

from tf_micle.evaluation import evaluate as evaluation
from tf_micle.evaluation import operating_points
from tf_micle.evaluation.failures import Failure, Failures, Picture
from tf_micle.evaluation.predictions import Predictions
from tf_micle.report import model_card, paper_files
from tf_micle.report import page as report_page
from tf_micle.report.basis import Basis
from tf_micle.report.sections import cohort, flow

NAN = np.nan
HOSTILE = (
  '<img src=x onerror="alert(1)">',
  "$x^2$ \\frac{",
  "<script>alert(2)</script>",
  "\u202egnol" + "g" * 300,
  "a & 'b' \"c\"",
)


def multi_class(classes=3, names=None, n=90):
  rng = np.random.default_rng(0)
  labels = rng.integers(-1, classes, size=n)
  logits = rng.normal(size=(n, classes))
  logits[np.arange(n), labels] += 1
  odds = np.exp(logits)
  patients = [f"p{k // 3}" for k in range(n)]
  return Predictions(
    task="multi_class",
    class_names=tuple(names or (f"class{k}" for k in range(classes))),
    unit="image",
    patient_id=patients,
    bag_id=patients,
    row=[str(k) for k in range(n)],
    labels=labels,
    probabilities=odds / odds.sum(axis=1, keepdims=True),
    metadata={"site": np.array(["north", HOSTILE[0]])[np.arange(n) % 2]},
  )


def findings():
  """Two findings; nobody has the second one."""
  rng = np.random.default_rng(0)
  labels = rng.choice([0, 1, -1, NAN], size=(60, 2)).astype(float)
  labels[:, 1] = np.where(labels[:, 1] == 1, 0, labels[:, 1])
  patients = [f"p{k // 2}" for k in range(60)]
  return Predictions(
    task="multi_label",
    class_names=("edema", "fracture"),
    unit="bag",
    patient_id=patients,
    bag_id=[str(k) for k in range(60)],
    row=[str(k) for k in range(60)],
    labels=labels,
    probabilities=rng.random((60, 2)),
  )


def points_of(predictions, **changes):
  """Thresholds, chosen on other data of the same kind."""
  validation = types.SimpleNamespace(name="clinic/validation", digest="v")
  return operating_points.choose(
    predictions, "youden", checkpoint="ckpt-4", source=validation, **changes
  )


@pytest.fixture
def page(tmp_path):
  def go(predictions, other=None, points=None, warnings=(), **changes):
    result = evaluation.evaluate(
      predictions, samples=20, other=other, points=points
    )
    path = tmp_path / "report.html"
    basis = Basis(result, predictions, **changes)
    report_page.write(path, basis, warnings=warnings)
    assert sorted(tmp_path.iterdir()) == [path]
    return result, Page(path.read_text(encoding="utf-8"))

  return go


class Page(html.parser.HTMLParser):
  """Collects what a browser would show, load and run."""

  def __init__(self, source):
    super().__init__()
    self.source, self.tags, self.loads, self.words = source, [], [], []
    self._open = []
    self.feed(source)
    assert not self._open

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.loads += [v for k, v in attrs if k in ("src", "href", "srcset")]
    assert not [k for k, _ in attrs if k.startswith("on")]
    if tag not in ("img", "meta", "br", "link", "input", "hr"):
      self._open.append(tag)

  def handle_endtag(self, tag):
    while self._open and self._open[-1] != tag:
      # HTML lets these end by themselves.
      assert self._open.pop() in ("p", "li", "td", "th", "tr", "dt", "dd")
    self._open.pop()

  def handle_data(self, data):
    if self._open and self._open[-1] not in ("style", "script"):
      self.words.append(data)

  @property
  def text(self):
    return re.sub(r"\s+", " ", " ".join(self.words))

  def charts(self):
    """The SVG texts of its charts."""
    head = "data:image/svg+xml;base64,"
    return [
      base64.b64decode(one.removeprefix(head)).decode()
      for one in self.loads
      if one.startswith(head)
    ]


def failures(*texts, too_alike=False):
  """A case a text: the image with a map, one that nothing raised, another."""
  image, heat = np.zeros((20, 30, 3), np.uint8), np.eye(3)
  numbers = {"images": 1, "networks": 5, "mean": 0.04, "highest": 0.0625}

  def case(text):
    pictures = [
      Picture(image, text, True, 0.01, False, weight=0.754, heat=heat),
      Picture(image, text, True, 0.01, False, weight=0.2, heat=0 * heat),
      Picture(image, text, False, 0.875, True),
    ]
    return Failure(text, text, text, 0.01, pictures, left_out=7)

  check = {**numbers, "too_alike": too_alike}
  return Failures([case(text) for text in texts], 12, check)


@pytest.mark.parametrize(
  "predictions", [multi_class(), multi_class(27, n=400), findings()]
)
def test_the_page_stands_alone_and_says_the_numbers(page, predictions):
  result, shown = page(
    predictions, failures=failures("x"), facts={"data": "site/test"}
  )
  assert "script" not in shown.tags
  assert all(one.startswith(("data:image/", "#")) for one in shown.loads)
  assert "Content-Security-Policy" in shown.source
  assert "url(" not in shown.source
  assert len(shown.charts()) >= 3
  for level in {result["unit"], "patient"}:
    for entry in result[level].values():
      if isinstance(entry, dict) and "value" in entry:
        if entry["value"] is None:
          assert "not defined" in shown.text
        else:
          assert f"{entry['value']:.3f}" in shown.text
  for note in result["notes"]:
    assert note in shown.text


def test_what_is_not_defined_is_never_a_zero(page):
  result, shown = page(findings())
  assert result["bag"]["auroc"]["fracture"]["value"] is None
  row = shown.text.split("By finding Each")[-1].split("fracture")[1][:120]
  assert "not defined" in row
  assert "0.000" not in row


def test_a_page_of_what_nobody_is_labelled_with(page):
  """As of a data set that lacks a finding, or patients of mixed labels."""
  lacks = findings()
  lacks.labels[:, 1] = NAN
  mixed = dataclasses.replace(multi_class(), labels=np.arange(90) % 3)
  for predictions in (lacks, mixed, multi_class(n=3)):
    page(predictions, points=points_of(predictions))


def test_names_from_data_are_shown_and_never_run(page):
  predictions = multi_class(len(HOSTILE), HOSTILE)
  _, shown = page(
    predictions,
    failures=failures(*HOSTILE),
    facts={"data": HOSTILE[0], "checkpoint": HOSTILE[2]},
    warnings=HOSTILE,
  )
  assert "script" not in shown.tags
  assert not [one for one in shown.loads if one == "x"]
  for text in HOSTILE:
    assert re.sub(r"\s+", " ", text) in shown.text


def test_failures_say_what_is_left_out_and_what_maps_do_not_show(page):
  _, shown = page(multi_class(), failures=failures("x", "y"))
  text = shown.text.split("Failures These are")[1]
  assert text.startswith(" 2 of 12 images that the model got wrong")
  assert text.count("row x, weight 75.4%") == 1
  assert "row x, weight 20%, no place raised the score" in text
  assert "row x, right 87.5%" in text
  assert text.count("Left out: 7 more images of this patient") == 2
  assert text.count("heat map ") == 3  # Two pictures, and in the words.
  assert "does not show" in text
  assert "3 × 3 places" in text
  assert "correlation of 0.040 with these, and of 0.062 in the most" in text
  assert "Do not read" not in text
  _, alike = page(multi_class(), failures=failures("x", too_alike=True))
  assert "Do not read these heat maps" in alike.text


def test_a_comparison_says_where_the_interval_excludes_zero(page):
  ours = multi_class(n=300)
  guess = np.full_like(ours.probabilities, 1 / 3)
  other = dataclasses.replace(ours, probabilities=guess)
  result, shown = page(ours, other=other)
  assert result["difference"]["image"]["mean_auroc"]["low"] > 0
  assert "better: interval excludes 0" in shown.text
  _, same = page(ours, other=ours)
  assert "interval includes 0" in same.text
  assert "better: interval" not in same.text


def test_an_interval_of_no_width_is_exact_or_marked(page):
  """One patient has the first class, and the model is always right."""
  truth = np.array([0, 1, 2, 1, 2, 1])
  predictions = dataclasses.replace(
    multi_class(n=18),
    labels=np.repeat(truth, 3),
    probabilities=np.eye(3)[np.repeat(truth, 3)],
  )
  result, shown = page(predictions)
  # Told once, under the first table that has the mark.
  assert shown.text.count("‡ No width: the resamples agree") == 1
  table = shown.text.split("By class Each")[-1].split("ROC and precision")[0]
  row = table.split("class0")[1].split("class1")[0]
  assert (
    row.split()
    == (
      "3 of 18 1.000 1.000 to 1.000 ‡ 1.000 1.000 to 1.000 ‡ "
      "1.000 0.025 to 1.000, exact"
    ).split()
  )
  # Six patients: 0.025 ** (1 / 6) = 0.5407. A card, two levels, two groups.
  assert shown.text.count("0.541 to 1.000, exact") == 5
  _, wide = page(multi_class(n=300))
  assert "‡" not in wide.text


def test_a_result_of_other_predictions_is_refused(page, tmp_path):
  result = evaluation.evaluate(findings(), samples=5)
  with pytest.raises(ValueError, match="Expected the predictions"):
    report_page.write(tmp_path / "r.html", Basis(result, multi_class()))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [multi_class, findings])
def test_rates_at_fixed_thresholds_are_told_with_their_counts(page, make):
  predictions = make()
  points = points_of(predictions, calibrate=True)
  result, shown = page(predictions, points=points)
  for level in {result["unit"], "patient"}:
    for name, found in result[level]["decisions"].items():
      assert found["threshold"] == points.thresholds[level][name]
      entry = found["sensitivity"]
      if entry["value"] is not None:
        counts = f"{entry['numerator']} of {entry['denominator']}"
        row = f"{entry['value']:.3f}"
        assert row in shown.text
        assert counts in shown.text
        behind = points.reached[level][name]
        counts = f"{behind['positives']} with, {behind['negatives']} without"
        assert counts in shown.text
  assert "chosen on clinic/validation" in shown.text
  assert "The probabilities were calibrated" in shown.text
  _, without = page(predictions)
  assert "no thresholds that were fixed beforehand" in without.text


def test_the_summary_hides_no_class_that_the_model_misses(page):
  """Nobody with class0 is called so; its threshold had one patient."""
  truth = np.array([0, 1, 2, 1, 2, 1])
  predictions = dataclasses.replace(
    multi_class(n=18),
    labels=np.repeat(truth, 3),
    probabilities=np.eye(3)[np.repeat(np.maximum(truth, 1), 3)],
  )
  _, shown = page(predictions, points=points_of(predictions))
  told = shown.text.split("What follows is per patient.")[1].split("Flow")[0]
  assert "class0 for the most probable class in none of the 1 patient" in told
  assert "Its threshold was chosen on only 1 patient with it" in told
  assert told.count("for the most probable class in none") == 1


def test_a_group_that_is_too_small_is_said(page):
  predictions = multi_class()
  _, shown = page(predictions, points=points_of(predictions))
  assert "too small to say" in shown.text.split("By group The")[-1]


def test_tables_and_figures_go_into_files_for_a_paper(tmp_path):
  predictions = multi_class(names=("=1+1", "b", "c"))
  result = evaluation.evaluate(
    predictions, samples=20, points=points_of(predictions)
  )
  facts = {"data": "a|b", "model": "<run>", "data_are": "internal"}
  basis = Basis(result, predictions, facts=facts)
  old = tmp_path / "tables" / "old.csv"
  old.parent.mkdir()
  old.touch()
  sections = report_page.write(tmp_path / "report.html", basis)
  paper_files.write(str(tmp_path), sections)
  assert not old.exists()
  names = {path.name for path in (tmp_path / "tables").iterdir()}
  (path,) = [n for n in names if n.startswith("decisions-") and "image" in n]
  with open(tmp_path / "tables" / path, newline="") as file:
    rows = list(csv.DictReader(file))
  entry = result["image"]["decisions"]["=1+1"]["sensitivity"]
  # A spreadsheet does not run it.
  assert rows[0]["Class"] == "'=1+1"
  assert rows[0]["Sensitivity, 95% interval"] == f"{entry['value']:.3f}"
  for end in ("low", "high"):
    text = rows[0][f"Sensitivity, 95% interval ({end})"]
    assert text == f"{entry[end]:.3f}"
  assert rows[0]["Sensitivity, 95% interval (method)"] == "bootstrap"
  assert rows[0]["Sensitivity, 95% interval (counts)"] == (
    f"{entry['numerator']} of {entry['denominator']}"
  )
  figures = list((tmp_path / "figures").iterdir())
  assert len(figures) >= 9
  assert all("<svg" in path.read_text() for path in figures)
  claim = [n for n in names if n.endswith("claim-2024.csv")]
  with open(tmp_path / "tables" / claim[0], newline="") as file:
    items = list(csv.DictReader(file))
  assert [row["Item"] for row in items] == [str(k) for k in range(1, 45)]
  states = {row["Item"]: row["State"] for row in items}
  # Thresholds and own data are there, another site is not.
  assert [states[k] for k in ("38", "32", "33", "30")] == (
    ["filled", "filled", "the author’s", "the author’s"]
  )

  model_card.write(tmp_path / "model_card.md", basis, {"resnet_depth": 18})
  card = (tmp_path / "model_card.md").read_text()
  assert "resnet_depth 18" in card
  assert "**[to fill in" in card
  assert "\\<run\\>" in card
  value = result["patient"]["top1"]["value"]
  assert f"| Top-1 accuracy | {value:.3f} |" in card


def test_the_cohort_counts_who_counts(page):
  predictions = findings()
  _, shown = page(predictions)
  text = shown.text.split("Flow From the records")[1]
  labels = predictions.labels
  stated = np.isin(labels, (0, 1)).any(axis=1)
  uncertain = (labels == -1).any(axis=1) & ~stated
  none = 60 - stated.sum() - uncertain.sum()
  counts = [f"{count} of 60" for count in (uncertain.sum(), none, stated.sum())]
  assert f"Bags 60 {' '.join(counts)}" in text
  assert "Bags a patient, median (range) 2 (2 to 2)" in text


def test_the_flow_begins_at_the_manifest_and_the_table_is_of_all_splits():
  predictions = findings()

  def split(patients, images, rows, rejected, counted=True):
    counts = {
      "rows": rows,
      "row_patients": patients + 1,
      "rejected": rejected,
      "label_patients": {"edema": patients // 2},
      "metadata_patients": {"sex": {"": 1, "F": patients - 1}},
    }
    return {
      "patients": patients,
      "bags": images,
      "images": images,
      "labelled_images": images - 1,
      "label_counts": {"edema": {"1": 5, "0": 6, "-1": 2, "missing": 1}},
      "bag_sizes": {1: images},
      "cohort": counts if counted else None,
    }

  result = evaluation.evaluate(predictions, samples=20)
  for counted in (True, False):
    rejected = {"missing image file": 3}
    splits = {
      "train": split(100, 200, 203, rejected, counted),
      "test": split(30, 62, 62, {}, counted),
    }
    result["cohort"] = {"scored": ["test"], "splits": splits}
    basis = Basis(result, predictions)
    blocks = flow.section(basis).blocks
    words = blocks[1].figures[0].charts[0].alt
    assert ("Manifest: 265 rows of 132 patients" in words) == counted
    assert ("Rejected: 3 rows\n3 missing image file" in words) == counted
    assert ("an earlier version built these" in blocks[0].text) != counted
    # 60 of the split's 62 images were given to the model.
    assert "Other splits: 200 images of 100 patients" in words
    assert "In damaged records\n2 images" in words
    assert "This split: 60 images in 60 bags of 30 patients" in words
    table = cohort.section(basis).blocks[1]
    rows = {row[0].text: row[1:] for row in table.cells}
    assert list(table.columns) == ["", "train", "test"]
    assert [cell.text for cell in rows["Patients"]] == ["100", "30"]
    label = rows["Label: edema"][1]
    if counted:
      assert (label.text, label.detail) == ("15", "50%")
      assert label.meaning == "images: 5 of 11, 2 uncertain"
      assert rows["sex: (not stated)"][0].text == "1"
      # Another data set beside it, with another label and no such column.
      other = split(9, 9, 9, {})
      other["label_counts"] = {"mass": other["label_counts"]["edema"]}
      other["cohort"].update(metadata_patients={}, label_patients={"mass": 4})
      result["cohort"]["compared"] = {"train": other}
      table = cohort.section(basis).blocks[1]
      rows = {row[0].text: row[1:] for row in table.cells}
      assert list(table.columns) == ["", "train", "test", "compared: train"]
      # Another split of the same data set, as its file has it.
      result["cohort"]["compared"] = json.loads(json.dumps(splits))
      table = cohort.section(basis).blocks[1]
      assert list(table.columns) == ["", "train", "test"]
      assert [one.text for one in rows["Label: mass"]][1:] == ["not known", "4"]
      assert rows["sex: F"][2].undefined
    else:
      assert (label.text, label.detail) == ("5 of 11, 2 uncertain", "images")
