"""`run.py --mode=predict` as its user sees it, on the demo's test images."""

import json
import shutil
import sys

import numpy as np
import pytest
import tiny
from clinic import already_stopped, fine_tuned, make, predictor, read
from PIL import Image

import run
from data.batches import listed_images
from tf_micle.classifier.build import build_network
from tf_micle.classifier.model import Classifier
from tf_micle.prediction import (
  parquet,
  pieces,
)
from tf_micle.system import distribution, folder_lock, stop_signal


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
  return make(tmp_path_factory.mktemp("clinic"))


@pytest.fixture(scope="module")
def tuned(clinic, tmp_path_factory):
  return fine_tuned(clinic, tmp_path_factory.mktemp("tuned") / "run")


@pytest.fixture(scope="module")
def of_bags(clinic, tmp_path_factory):
  folder = tmp_path_factory.mktemp("bags") / "run"
  return fine_tuned(clinic, folder, unit="bag", bag_views=2)


@pytest.fixture
def predict(clinic, tuned, tmp_path):
  return predictor(clinic, tuned, tmp_path)


def probabilities(row):
  return [float(row["probability_a"]), float(row["probability_b"])]


def assert_as_evaluated(found, evaluated):
  """Both by their rows of the manifest, to 1e-5."""
  by_rows = {row["row"]: row for row in found}
  assert evaluated
  for row in evaluated:
    np.testing.assert_allclose(
      probabilities(by_rows[row["row"]]), probabilities(row), atol=1e-5
    )


def test_predictions_are_those_of_evaluation(predict, clinic, tuned, tmp_path):
  assert predict() == run.DONE
  rows = read(tmp_path / "out.csv")
  manifest = read(clinic / "new.csv")
  assert [row["row"] for row in rows] == [
    str(2 + i) for i in range(len(manifest))
  ]
  for column in ("image", "patient_id"):
    assert [r[column] for r in rows] == [r[column] for r in manifest]
  for row in rows:
    assert row["top_class"] == "ab"[int(np.argmax(probabilities(row)))]
  status = tiny.command(
    mode="eval",
    model_dir=tuned,
    eval_split="test",
    image_size=None,
    bootstrap_samples=2,
  )
  assert status == run.DONE
  assert_as_evaluated(rows, read(tuned / "eval" / "test" / "predictions.csv"))
  assert not (tmp_path / "out.csv.partial").exists()


def test_parquet_holds_the_same(predict, tmp_path, capsys, monkeypatch):
  path = tmp_path / "out.parquet"
  with monkeypatch.context() as patch:
    patch.setitem(sys.modules, "pyarrow", None)
    assert predict(output=path) == run.BAD_USE
  assert "pyarrow<21" in capsys.readouterr().err
  if parquet.problem():
    pytest.skip("No pyarrow that works.")
  from pyarrow import parquet as arrow_parquet

  assert predict() == predict(output=path) == run.DONE
  rows = arrow_parquet.read_table(path).to_pylist()
  texts = [{k: str(v) for k, v in row.items()} for row in rows]
  assert texts == [
    {**row, **{k: str(float(row[k])) for k in row if "probability" in k}}
    for row in read(tmp_path / "out.csv")
  ]


def test_a_bag_has_one_row(predict, of_bags, tmp_path):
  bags = of_bags
  assert predict(model_dir=bags) == run.DONE
  rows = read(tmp_path / "out.csv")
  assert sorted(row["patient_id"] for row in rows) == [
    f"P {patient}" for patient in range(8)
  ]
  status = tiny.command(
    mode="eval",
    model_dir=bags,
    eval_split="test",
    image_size=None,
    bootstrap_samples=2,
  )
  assert status == run.DONE
  evaluated = read(bags / "eval" / "test" / "predictions.csv")
  for one in (*rows, *evaluated):  # The builder draws the order in a bag.
    one["row"] = " ".join(sorted(one["row"].split()))
  assert_as_evaluated(rows, evaluated)


def test_equal_bag_ids_of_two_patients_are_two_rows(
  predict, of_bags, clinic, tmp_path, monkeypatch
):
  assert predict(model_dir=of_bags) == run.DONE
  by_patient = {r["patient_id"]: r for r in read(tmp_path / "out.csv")}
  lines = (clinic / "new.csv").read_text().splitlines()
  # Of every patient the study "1"; one has a second one.
  studies = ["1"] * (len(lines) - 1)
  studies[0] = "2"
  rows = [f"{line},{study}" for line, study in zip(lines[1:], studies)]
  manifest = tmp_path / "studies.csv"
  manifest.write_text("\n".join([f"{lines[0]},study", *rows]))
  given = {"manifest": manifest, "bag_column": "study", "model_dir": of_bags}
  given["output"] = tmp_path / "bags.csv"
  with monkeypatch.context() as patch:
    patch.setattr(stop_signal.StopSignal, "__enter__", already_stopped)
    assert predict(**given) == run.STOPPED
  assert predict(**given) == run.DONE
  found = read(tmp_path / "bags.csv")
  assert len(found) == len(by_patient) + 1
  two = [r["patient_id"] for r in found if r["bag_id"] == "2"]
  assert len(two) == 1
  for row in found:
    if row["patient_id"] not in two:
      before = by_patient[row["patient_id"]]
      assert row["row"] == before["row"]
      np.testing.assert_allclose(
        probabilities(row), probabilities(before), atol=1e-5
      )


def test_several_pages_and_dicom_are_told_at_once(
  predict, clinic, tmp_path, capsys
):
  shutil.copy(clinic / "0-0.jpg", tmp_path / "sound.jpg")
  pages = [Image.new("L", (9, 9), shade) for shade in (0, 99)]
  for name in ("a.gif", "b.png", "c.tiff"):
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
  (tmp_path / "d.dcm").write_bytes(bytes(128) + b"DICM" + bytes(99))
  names = ["sound.jpg", "a.gif", "b.png", "c.tiff", "d.dcm", "none.png"]
  manifest = tmp_path / "m.csv"
  manifest.write_text("\n".join(["image", *names]))
  assert predict(manifest=manifest, image_root=tmp_path) == run.BAD_USE
  told = capsys.readouterr().err
  assert told.count("it holds 2 pictures") == 3
  assert "'d.dcm'. Received: it is a DICOM file" in told
  assert "'none.png'. Received: there is no such file" in told
  assert "sound.jpg" not in told


def test_places_that_cannot_be_are_told_first(predict, tmp_path, capsys):
  (tmp_path / "file").touch()
  (tmp_path / "out.csv.partial").touch()
  assert predict(tensorboard_projector=tmp_path / "file") == run.BAD_USE
  printed = capsys.readouterr().err
  assert "--tensorboard_projector to be a folder" in printed
  assert "out.csv.partial" in printed
  other = tmp_path / "other.csv"
  given = {"output": other, "tensorboard_projector": other}
  assert predict(**given) == run.BAD_USE
  assert "--tensorboard_projector to be apart" in capsys.readouterr().err


def test_bad_images_are_left_out_or_end_it(predict, clinic, tmp_path, capsys):
  for name in ("0-0.jpg", "1-0.jpg"):
    shutil.copy(clinic / name, tmp_path)
  whole = (clinic / "2-0.jpg").read_bytes()
  (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
  manifest = tmp_path / "few.csv"
  manifest.write_text("image\n0-0.jpg\ncut.jpg\n1-0.jpg\nnone.jpg\n")
  changes = {"manifest": manifest, "image_root": tmp_path}
  assert predict(**changes) == run.BAD_USE
  assert "none.jpg" in capsys.readouterr().err
  manifest.write_text("image\n0-0.jpg\ncut.jpg\n1-0.jpg\n")
  assert predict(**changes) == run.BAD_USE  # Only decoding shows it.
  assert "row 3" in capsys.readouterr().err
  manifest.write_text("image\n0-0.jpg\ncut.jpg\n1-0.jpg\nnone.jpg\n")
  assert predict(**changes, on_bad_image="skip") == run.DONE
  assert "Left out: 2 images, in " in capsys.readouterr().out
  rows = read(tmp_path / "out.csv")
  assert [row["patient_id"] for row in rows] == ["0-0.jpg", "1-0.jpg"]
  rejected = read(tmp_path / "out.csv.rejected.csv")
  assert [(r["row"], r["image"]) for r in rejected] == [
    ("3", "cut.jpg"),
    ("5", "none.jpg"),
  ]


def test_problems_come_in_the_order_of_the_rows(
  predict, clinic, tmp_path, capsys
):
  manifest = tmp_path / "m.csv"
  manifest.write_text("image,patient_id\na.png,P\n0-0.jpg,\nb.png,P\n")
  assert predict(manifest=manifest) == run.BAD_USE
  told = capsys.readouterr().err
  assert "\n3 problems, nothing was started:" in told
  rows = [line[:7] for line in told.splitlines() if line.startswith("- ")]
  assert rows == ["- row 2", "- row 3", "- row 4"]
  assert told.count("--on_bad_image=skip") == 1


def test_a_model_that_gives_nan_is_refused(
  predict, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(
    Classifier,
    "probabilities",
    lambda self, features: np.full((len(features), 2), np.nan),
  )
  assert predict() == run.BAD_USE
  assert "has diverged: take an earlier checkpoint" in capsys.readouterr().err
  assert not (tmp_path / "out.csv").exists()


def test_all_that_is_wrong_is_said_at_once(predict, tmp_path, capsys):
  manifest = tmp_path / "m.csv"
  manifest.write_text("image,patient_id\na.png,\nb.png,P\n")
  status = predict(
    manifest=manifest,
    image_root=tmp_path / "none",
    output=tmp_path / "out.xls",
    embeddings=tmp_path / "f.npy",
    model_dir=tmp_path,
  )
  assert status == run.BAD_USE
  printed = capsys.readouterr().err
  for part in ("image_root", "row 2", "out.xls", "f.npy", "flags.json"):
    assert part in printed
  assert not (tmp_path / "out.xls.partial").exists()


def test_what_is_quickly_told_comes_before_the_images(
  predict, tuned, tmp_path, capsys, monkeypatch
):
  looked = []
  monkeypatch.setattr(
    listed_images, "check_listed", lambda *_: looked.append(1)
  )
  (tmp_path / "out.csv").touch()
  untuned = shutil.copytree(tuned, tmp_path / "untuned")
  facts = json.loads((untuned / "provenance.json").read_text())
  del facts["class_names"]
  (untuned / "provenance.json").write_text(json.dumps(facts))
  assert predict(model_dir=untuned) == run.BAD_USE
  printed = capsys.readouterr().err
  assert "out.csv, which exists" in printed
  assert "fine-tuned run" in printed
  other = tmp_path / "other.csv"
  absent = tuned / "checkpoints" / "ckpt-9"
  assert predict(output=other, checkpoint=absent) == run.BAD_USE
  assert "ckpt-9" in capsys.readouterr().err
  with folder_lock.held(f"{other}.partial"):
    assert predict(output=other) == run.BAD_USE
  assert not looked
  assert not (tmp_path / "other.csv.partial").exists()


def test_a_piece_is_a_second_or_two_of_a_processor():
  def of(depth, image_size, **changes):
    options = tiny.finetune_options(
      resnet_depth=depth, image_size=image_size, **changes
    )
    model, _ = build_network(options, task="multi_class", num_classes=2)
    return pieces.size(model, distribution.choose("one_device"), image_size)

  # 4.1 billion multiply-adds an image, 5 to 10 images a second.
  assert 5 <= of(50, 224, width_multiplier=1) <= 16
  assert of(18, 32) > 256
  batch = np.arange(7), np.arange(7)
  split = [list(positions) for positions, _ in pieces.split([batch], 3)]
  assert split == [[0, 1, 2], [3, 4, 5], [6]]


def test_two_predictions_do_not_share_an_output(predict, tmp_path, capsys):
  with folder_lock.held(f"{tmp_path}/out.csv.partial"):
    assert predict() == run.BAD_USE
  assert "--output" in capsys.readouterr().err
