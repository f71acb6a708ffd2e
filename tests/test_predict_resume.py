"""Predictions that are stopped, killed or crowded, and resumed."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
from clinic import already_stopped, fine_tuned, make, predictor, read
from PIL import Image

import run
from data.batches import listed_images
from data.images import worker_pool
from tf_micle.prediction import outputs, partial_files, pieces, rows
from tf_micle.system import stop_signal


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
  return make(tmp_path_factory.mktemp("clinic"))


@pytest.fixture(scope="module")
def tuned(clinic, tmp_path_factory):
  return fine_tuned(clinic, tmp_path_factory.mktemp("tuned") / "run")


@pytest.fixture
def predict(clinic, tuned, tmp_path):
  return predictor(clinic, tuned, tmp_path)


def _disk_full(*_):
  raise OSError(28, "No space left on device")


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
    patch.setattr(stop_signal.StopSignal, "__enter__", already_stopped)
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
    patch.setattr(stop_signal.StopSignal, "__enter__", already_stopped)
    assert predict() == run.STOPPED
  path = tmp_path / "out.csv.partial" / "progress.json"
  progress = json.loads(path.read_text())
  del progress["placed"]
  progress["identity"]["outputs"] = [str(tmp_path / "out.csv"), None, None]
  path.write_text(json.dumps(progress))
  assert predict() == run.DONE
  assert "first image" not in caplog.text


@pytest.mark.parametrize("damage", ["{}", "cut"])
def test_a_damaged_note_of_progress_begins_anew(predict, tmp_path, damage):
  folder = tmp_path / "out.csv.partial"
  folder.mkdir()
  for name in partial_files._ALL:
    (folder / name).touch()
  (folder / "progress.json").write_text(damage)
  assert predict() == run.DONE
  assert len(read(tmp_path / "out.csv")) == 24


def test_what_is_half_done_of_another_manifest_is_not_taken(
  predict, clinic, tmp_path, monkeypatch, caplog
):
  with monkeypatch.context() as patch:
    patch.setattr(stop_signal.StopSignal, "__enter__", already_stopped)
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
    patch.setattr(stop_signal.StopSignal, "__enter__", already_stopped)
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
