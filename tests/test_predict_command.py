"""`run.py --mode=predict` as its user sees it, on the demo's test images."""

import csv
import json
import os
import shutil
import signal
import sys
import time

import numpy as np
import pytest
import tiny
from PIL import Image

import run
from data.batches import listed_images
from data.builder import build
from data.images import worker_pool
from tf_micle.classifier.build import build_network
from tf_micle.classifier.model import Classifier
from tf_micle.prediction import (
  outputs,
  parquet,
  partial_files,
  pieces,
  rows,
)
from tf_micle.system import distribution, folder_lock, stop_signal

SIZE = 40  # Above 32 pixels evaluation crops.


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
  """Images of all sorts with their manifest, and records built from it."""
  folder = tmp_path_factory.mktemp("clinic")
  draw = np.random.default_rng(0)
  rows = []
  for patient in range(8):
    split = ("train", "train", "validation", "test")[patient % 4]
    for image in range(3):
      pixels = draw.integers(0, 256, (60 + 9 * image, 90, 3), np.uint8)
      name = f"{patient}-{image}." + ("jpg", "png", "tiff")[image]
      exif = Image.Exif()
      exif[0x0112] = 6 if image == 1 else 1
      picture = Image.fromarray(pixels)
      if image == 1:
        picture.putalpha(Image.fromarray(pixels[..., 0]))
      if image == 2:
        deep = pixels[..., 0].astype(np.uint16) * 200
        picture = Image.fromarray(deep)
      picture.save(folder / name, exif=exif)
      rows.append([name, f"P {patient}", "ab"[patient // 4], split])
  order = draw.permutation(len(rows))
  write_manifest(folder / "labelled.csv", [rows[i] for i in order], 4)
  build.build(
    build.BuildOptions(
      str(folder / "labelled.csv"),
      str(folder),
      str(folder / "records"),
      max_side=100,
      workers=1,
    )
  )
  # The same rows at the same places, without labels.
  write_manifest(folder / "new.csv", [rows[i] for i in order], 2)
  return folder


def write_manifest(path, rows, columns):
  header = ["image", "patient_id", "label", "split"]
  with open(path, "w", newline="") as file:
    csv.writer(file).writerows(row[:columns] for row in [header, *rows])


def fine_tuned(clinic, folder, **changes):
  status = tiny.command(
    mode="finetune",
    optimizer="momentum",
    image_size=SIZE,
    data_dir=clinic / "records",
    model_dir=folder,
    **changes,
  )
  assert status == run.DONE
  return folder


@pytest.fixture(scope="module")
def tuned(clinic, tmp_path_factory):
  return fine_tuned(clinic, tmp_path_factory.mktemp("tuned") / "run")


@pytest.fixture(scope="module")
def of_bags(clinic, tmp_path_factory):
  folder = tmp_path_factory.mktemp("bags") / "run"
  return fine_tuned(clinic, folder, unit="bag", bag_views=2)


@pytest.fixture
def predict(clinic, tuned, tmp_path):
  """Predicts to tmp_path/out.csv; returns the status."""

  def go(**changes):
    given = {
      "mode": "predict",
      "model_dir": tuned,
      "manifest": clinic / "new.csv",
      "image_root": clinic,
      "output": tmp_path / "out.csv",
      "eval_batch_size": 4,
      "image_size": None,  # The run knows.
    }
    return tiny.command(**{**given, **changes})

  return go


def read(path):
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


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
    patch.setattr(stop_signal.StopSignal, "__enter__", _already_stopped)
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


def test_it_resumes_where_it_was_stopped(predict, tmp_path, monkeypatch, capfd):
  features, folder = tmp_path / "f.npz", tmp_path / "projector"
  wanted = {"embeddings": features, "tensorboard_projector": folder}
  assert predict(**wanted) == run.DONE
  whole = (tmp_path / "out.csv").read_bytes()
  arrays = dict(np.load(features))
  assert arrays["row"].tolist() == list(range(2, 26))
  assert arrays["features"].shape[0] == 24
  tensors = np.loadtxt(folder / "tensors.tsv")
  np.testing.assert_allclose(tensors, arrays["features"], rtol=1e-4)
  assert len((folder / "metadata.tsv").read_text().splitlines()) == 1 + 24
  assert Image.open(folder / "sprite.png").size == (5 * 48, 5 * 48)

  assert predict(**wanted) == run.BAD_USE  # Nothing is written over.
  for path in (tmp_path / "out.csv", features):
    path.unlink()
  shutil.rmtree(folder)
  with monkeypatch.context() as patch:
    patch.setattr(rows.RowWriter, "write", _writes_and_is_stopped())
    assert predict(**wanted) == run.STOPPED
  assert capfd.readouterr().err.count("Finishing this step; again to") == 1
  partial = tmp_path / "out.csv.partial"
  done = json.loads((partial / "progress.json").read_text())["counts"]
  assert done["rows"] == 4
  with open(partial / "rows.csv", "a") as file:
    file.write("half a r")  # As a kill would leave it.
  with monkeypatch.context() as patch:
    patch.setattr(np.lib.format, "write_array_header_1_0", _disk_full)
    assert predict(**wanted) == run.FAILED
  assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv.partial"]
  with monkeypatch.context() as patch:
    patch.setattr(outputs, "copy_whole", _disk_full)  # The last but one.
    assert predict(**wanted, on_bad_image="skip") == run.FAILED
  assert features.exists()
  assert folder.exists()
  assert predict(**wanted) == run.DONE
  assert (tmp_path / "out.csv").read_bytes() == whole
  np.testing.assert_allclose(
    np.load(features)["features"], arrays["features"], rtol=1e-5
  )


def _writes_and_is_stopped():
  """RowWriter.write that a signal follows, the first time."""
  write, calls = rows.RowWriter.write, []

  def go(*arguments):
    write(*arguments)
    if not calls:
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(0.5)  # Until the thread that listens had its turn.
    calls.append(1)

  return go


def test_what_appeared_meanwhile_is_not_written_over(
  predict, tmp_path, monkeypatch, capsys, caplog
):
  output, features = tmp_path / "out.csv", tmp_path / "f.npz"
  with monkeypatch.context() as patch:
    patch.setattr(stop_signal.StopSignal, "__enter__", _already_stopped)
    assert predict(embeddings=features) == run.STOPPED
  output.write_text("mine")
  features.write_text("mine")
  with monkeypatch.context() as patch:
    patch.setattr(listed_images, "check_listed", None)  # Told before.
    assert predict(embeddings=features) == run.BAD_USE
  printed = capsys.readouterr().err
  assert "out.csv, which exists" in printed
  assert "f.npz, which exists" in printed
  output.unlink()
  write = rows.RowWriter.write

  def appears(*arguments):
    write(*arguments)
    output.write_text("mine, too")

  # Other names of the outputs are no reason to begin anew.
  given = {"output": f"{tmp_path}/./out.csv", "embeddings": tmp_path / "g.npz"}
  with monkeypatch.context() as patch:
    patch.setattr(rows.RowWriter, "write", appears)
    assert predict(**given) == run.BAD_USE
  assert "out.csv, which exists" in capsys.readouterr().err
  assert output.read_text() == "mine, too"
  output.unlink()
  assert predict(**given) == run.DONE
  assert "first image" not in caplog.text
  assert features.read_text() == "mine"
  assert len(np.load(tmp_path / "g.npz")["row"]) == len(read(output)) == 24


def test_a_prediction_of_an_earlier_version_is_resumed(
  predict, tmp_path, monkeypatch, caplog
):
  with monkeypatch.context() as patch:
    patch.setattr(stop_signal.StopSignal, "__enter__", _already_stopped)
    assert predict() == run.STOPPED
  path = tmp_path / "out.csv.partial" / "progress.json"
  progress = json.loads(path.read_text())
  del progress["placed"]
  progress["identity"]["outputs"] = [str(tmp_path / "out.csv"), None, None]
  path.write_text(json.dumps(progress))
  assert predict() == run.DONE
  assert "first image" not in caplog.text


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


def _disk_full(*_):
  raise OSError(28, "No space left on device")


def _already_stopped(self):
  self.requested = True
  return self


def test_what_is_half_done_of_another_manifest_is_not_taken(
  predict, clinic, tmp_path, monkeypatch, caplog
):
  with monkeypatch.context() as patch:
    patch.setattr(stop_signal.StopSignal, "__enter__", _already_stopped)
    # As if the network were so large that an image took a second.
    patch.setattr(pieces, "_WORK", 0)
    assert predict() == run.STOPPED
  progress = (tmp_path / "out.csv.partial" / "progress.json").read_text()
  assert json.loads(progress)["counts"]["rows"] == 1
  rows = (clinic / "new.csv").read_text().splitlines()
  other = tmp_path / "other.csv"
  other.write_text("\n".join([rows[0], *rows[:0:-1]]))
  assert predict(manifest=other) == run.DONE
  assert "another manifest" in caplog.text
  images = [row["image"] for row in read(tmp_path / "out.csv")]
  assert images == [row["image"] for row in read(other)]


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


def test_what_was_placed_before_a_kill_is_not_asked_for_again(
  predict, tmp_path, monkeypatch
):
  with monkeypatch.context() as patch:
    patch.setattr(partial_files.PredictionFiles, "remove", lambda self: None)
    patch.setattr(partial_files.PredictionFiles, "fits", lambda *_, **__: False)
    assert predict() == run.DONE
  assert (tmp_path / "out.csv.partial").exists()
  whole = (tmp_path / "out.csv").read_bytes()
  assert predict() == run.DONE
  assert (tmp_path / "out.csv").read_bytes() == whole
  assert not (tmp_path / "out.csv.partial").exists()
  assert predict() == run.BAD_USE


def test_two_predictions_do_not_share_an_output(predict, tmp_path, capsys):
  with folder_lock.held(f"{tmp_path}/out.csv.partial"):
    assert predict() == run.BAD_USE
  assert "--output" in capsys.readouterr().err


@pytest.fixture
def many(clinic, tmp_path):
  """Flags of so many images that several processes read them."""
  rows = (clinic / "new.csv").read_text().splitlines()
  copies = [rows[0]]
  for copy in range(4):
    for row in rows[1:]:
      name, patient = row.split(",")
      copies.append(f"{copy}-{name},{patient}")
      shutil.copy(clinic / name, tmp_path / f"{copy}-{name}")
  manifest = tmp_path / "many.csv"
  manifest.write_text("\n".join(copies))
  return {"manifest": manifest, "image_root": tmp_path}


def test_several_processes_read_many_images(
  predict, many, tmp_path, monkeypatch
):
  """Stopped after the first batch, with others on their way."""
  with monkeypatch.context() as patch:
    patch.setattr(stop_signal.StopSignal, "__enter__", _already_stopped)
    assert predict(**many) == run.STOPPED
  assert predict(**many) == run.DONE
  found = read(tmp_path / "out.csv")
  assert [row["row"] for row in found] == [
    str(2 + place) for place in range(4 * 24)
  ]


@pytest.mark.parametrize("phase", ["_check_one", "_try_read"])
def test_a_dead_worker_is_a_line(
  phase, predict, many, monkeypatch, caplog, capsys
):
  submit = worker_pool.WorkerPool._submit

  def kill(self, function, batch):
    future = submit(self, function, batch)
    if function.func.__name__ == phase:
      for process in list(self._executor._processes.values()):
        process.kill()
    return future

  monkeypatch.setattr(worker_pool.WorkerPool, "_submit", kill)
  monkeypatch.setattr(listed_images, "default_workers", lambda: 2)
  assert predict(**many) == run.FAILED
  assert "One of 2 worker processes died" in caplog.text
  assert "the same command again" in caplog.text
  assert "--workers" not in caplog.text
  assert "Traceback" not in capsys.readouterr().err
