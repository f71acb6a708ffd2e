"""`run.py --mode=eval` as its user sees it, on a small demo data set."""

import csv
import json
import logging
import pathlib
import re
import shutil

import numpy as np
import pytest
import tiny
from sklearn import metrics

import run
from data.builder import build
from data.demo import dataset as demo_dataset
from data.records import dataset_json
from tf_micle.loading.opened import open_run


@pytest.fixture(scope="module")
def tuned(demo_records, tmp_path_factory):
  """A fine-tuned run."""
  folder = tmp_path_factory.mktemp("tuned") / "run"
  status = tiny.command(
    mode="finetune",
    optimizer="momentum",
    data_dir=demo_records,
    model_dir=folder,
  )
  assert status == run.DONE
  return folder


@pytest.fixture
def evaluate(tuned):
  """Evaluates the run; returns the status. It knows its data by itself."""

  def go(**changes):
    given = {"mode": "eval", "model_dir": tuned, "bootstrap_samples": 20}
    return tiny.command(**{**given, **changes})

  return go


@pytest.fixture(scope="module")
def another_site(demo_records, tmp_path_factory):
  """Builds other data: `patients` by split, under the key or another one."""

  def go(name, patients, *, same_key, change=lambda rows: rows):
    folder = tmp_path_factory.mktemp(name)
    manifest = demo_dataset.write_demo(folder / "images", patients=patients)
    with open(manifest, newline="") as file:
      rows = change(list(csv.DictReader(file)))
    with open(manifest, "w", newline="") as file:
      writer = csv.DictWriter(file, rows[0])
      writer.writeheader()
      writer.writerows(rows)
    key = f"{demo_records}.id_key" if same_key else None
    output = str(folder / "clinic_b")
    build.build(
      build.BuildOptions(
        manifest, str(folder / "images"), output, id_key_file=key, workers=1
      )
    )
    return output

  return go


def read(folder):
  result = json.loads((folder / "metrics.json").read_text())
  with open(folder / "predictions.csv", newline="") as file:
    return result, list(csv.DictReader(file))


def test_the_metrics_are_scikit_learns_of_the_predictions(
  evaluate, tuned, demo_records, capsys
):
  assert evaluate(eval_split="test", heat_maps=True) == run.DONE
  printed = capsys.readouterr().out
  assert "mean_auroc" in printed
  result, rows = read(tuned / "eval" / "test")
  assert result["notes"]
  for note in result["notes"]:
    assert printed.count(f"- {note}\n") == 1
  description = dataset_json.load(demo_records)
  names = list(description.class_names)
  assert len(rows) == description.splits["test"].images
  assert len({row["row"] for row in rows}) == len(rows)
  truth = np.array([names.index(row["label"]) for row in rows])
  found = np.array(
    [[float(row[f"probability_{name}"]) for name in names] for row in rows]
  )
  np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
  top1 = metrics.accuracy_score(truth, found.argmax(axis=1))
  assert result["image"]["top1"]["value"] == pytest.approx(top1)
  for k, name in enumerate(names):
    value = result["image"]["auroc"][name]["value"]
    if 0 < (truth == k).sum() < len(truth):
      assert value == pytest.approx(
        metrics.roc_auc_score(truth == k, found[:, k])
      )
    else:
      assert value is None
  assert result["patient"]["items"] == description.splits["test"].patients
  assert result["provenance"]["data_are"] == "internal"
  assert result["cohort"]["scored"] == ["test"]
  counted = result["cohort"]["splits"]["test"]
  assert counted["cohort"]["rows"] == counted["images"] == len(rows)
  page = (tuned / "eval" / "test" / "report.html").read_text()
  assert f"{top1:.3f}" in page
  assert "Adebayo" in page
  assert (
    -1 <= result["heat_maps"]["mean"] <= result["heat_maps"]["highest"] <= 1
  )


def test_patients_that_were_trained_on_are_refused(
  evaluate, tuned, another_site, capsys
):
  assert evaluate(eval_split="train") == run.BAD_USE
  assert "12 of 12 patients are in both" in capsys.readouterr().err

  def moved(rows):
    """The first training patient comes back at another clinic, to be tested."""
    return [{**row, "split": "test"} for row in rows]

  records = another_site("moved", {"train": 1}, same_key=True, change=moved)
  changes = {"data_dir": records, "eval_split": "test"}
  assert evaluate(**changes) == run.BAD_USE
  assert "1 of 1 patients is in both" in capsys.readouterr().err
  assert not (tuned / "eval" / "clinic_b-test").exists()


def test_what_a_reader_must_know_is_said(evaluate, tuned, another_site, caplog):
  records = another_site("apart", {"external": 4}, same_key=False)
  with caplog.at_level(logging.WARNING):
    assert evaluate(data_dir=records, eval_split="external") == run.DONE
    assert evaluate(eval_split="validation") == run.DONE
  assert "different keys" in caplog.text
  assert "its scores are optimistic" in caplog.text
  folder = tuned / "eval" / "clinic_b-external"
  assert "different keys" in (folder / "report.html").read_text()
  assert read(folder)[0]["warnings"]


def test_data_that_do_not_fit_the_model_are_named(tuned):
  (line,) = open_run(str(tuned)).misfits("unlabelled", ())
  assert line.endswith("Received: an unlabelled data set.")
  (line,) = open_run(str(tuned)).misfits("multi_label", ("a", "b"))
  assert line.endswith("Received: a multi_label data set with a, b.")


def test_what_cannot_be_is_told_before_warnings_and_work(
  evaluate, tuned, tmp_path, caplog, capsys
):
  run_dir = shutil.copytree(tuned, tmp_path / "run")
  shutil.rmtree(run_dir / "eval", ignore_errors=True)
  given = {"model_dir": run_dir, "eval_split": "validation"}
  for path in run_dir.glob("*/ckpt-*.data*"):
    path.write_bytes(b"cut")
  assert evaluate(**given) == run.BAD_USE
  assert "damaged" in capsys.readouterr().err
  (run_dir / "eval").touch()
  assert evaluate(**given) == run.BAD_USE
  printed = capsys.readouterr().err
  assert f"Expected {run_dir / 'eval'} to be a folder" in printed
  assert "optimistic" not in caplog.text


def test_classes_go_by_name_at_another_site(
  evaluate, tuned, another_site, demo_records, capsys
):
  names = dataset_json.load(demo_records).class_names
  new_name = {names[0]: "zzz", names[1]: names[1]}

  def renamed(rows):
    """Fewer classes, one unknown to the model, one without a label."""
    for row in rows:
      row["label"] = new_name.get(
        row["label"], "" if row["label"] == names[2] else row["label"]
      )
    return rows

  records = another_site(
    "names", {"external": 12}, same_key=True, change=renamed
  )
  assert evaluate(data_dir=records, eval_split="external") == run.DONE
  # Two sites of one name do not share a folder.
  (folder,) = re.findall(
    r"In (\S+clinic_b-external\S*):", capsys.readouterr().out
  )
  result, rows = read(pathlib.Path(folder))
  assert re.fullmatch(
    r"The model does not know zzz: \d+ images are left out for it, which "
    "flatters accuracy.",
    result["notes"][0],
  )
  labels = {row["label"] for row in rows}
  assert names[1] in labels
  assert "" in labels
  assert "zzz" not in labels
  assert {f"probability_{name}" for name in names} <= set(rows[0])


def test_two_models_are_compared_patient_by_patient(
  evaluate, tuned, demo_records, tmp_path
):
  assert evaluate(eval_split="test") == run.DONE
  other = tmp_path / "other"
  tiny.command(mode="finetune", data_dir=demo_records, model_dir=other, seed=1)
  status = evaluate(
    model_dir=other, eval_split="test", compare=tuned / "eval" / "test"
  )
  assert status == run.DONE
  difference = read(other / "eval" / "test")[0]["difference"]["image"]
  ours, theirs = (
    read(folder / "eval" / "test")[0]["image"]["brier"]["value"]
    for folder in (other, tuned)
  )
  assert difference["brier"]["value"] == pytest.approx(ours - theirs)


def test_what_is_no_tuned_run_is_said(evaluate, demo_records, tmp_path, capsys):
  pretrained = tmp_path / "pretrained"
  tiny.command(data_dir=demo_records, model_dir=pretrained, train_steps=0)
  assert evaluate(model_dir=pretrained) == run.BAD_USE
  assert "fine-tuned run" in capsys.readouterr().err
  assert evaluate(model_dir=tmp_path / "none", compare=tmp_path) == run.BAD_USE
  printed = capsys.readouterr().err
  assert "flags.json" in printed
  assert evaluate(compare=tmp_path, eval_split="tset") == run.BAD_USE
  printed = capsys.readouterr().err
  assert "'tset'" in printed
  assert "metrics.json" in printed


def test_the_network_and_whom_it_saw_are_those_of_the_run(
  evaluate, tuned, demo_records, tmp_path, capsys
):
  other = tmp_path / "other"
  tiny.command(mode="finetune", data_dir=demo_records, model_dir=other)
  assert evaluate(checkpoint=other, unit="bag", image_size=32) == run.BAD_USE
  printed = capsys.readouterr().err
  assert "a checkpoint of the run" in printed
  assert "--unit with --mode=finetune or --mode=predict only" in printed
  assert "--image_size" in printed
  newest = tuned / "checkpoints" / "ckpt-2"
  assert evaluate(checkpoint=newest, eval_split="test") == run.DONE
  (other / "trained_on.json").unlink()
  assert evaluate(model_dir=other) == run.BAD_USE
  assert "trained_on.json" in capsys.readouterr().err
