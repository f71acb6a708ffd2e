"""A disk that is full or closed to us: a line that says so, nothing lost."""

import pathlib
import resource
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny
from build_site import Site, patients

import run
from data.records import dataset_json
from tf_micle.runs import checkpoint, run_log

ROOT = pathlib.Path(__file__).parent.parent


def limited(arguments, most_bytes):
  """Runs a program that may write files of this size and no larger."""

  def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

  return subprocess.run(
    [sys.executable, *map(str, arguments)],
    cwd=ROOT,
    preexec_fn=limit,
    capture_output=True,
    text=True,
    check=False,
  )


def command(records, folder, **changes):
  values = {
    **tiny.FLAGS,
    **{"data_dir": records, "model_dir": folder, "log_steps": 1},
    **{"train_steps": 3, "checkpoint_steps": 1, "use_micle": True},
    **changes,
  }
  return ["run.py", *(f"--{name}={value}" for name, value in values.items())]


def test_a_full_disk_ends_a_run_and_keeps_what_was_saved(
  demo_records, tmp_path
):
  given = {"data_dir": demo_records, "model_dir": tmp_path / "run"}
  sizes = {"use_micle": True, "checkpoint_steps": 1}
  for folder in ("run", "whole"):
    given["model_dir"] = tmp_path / folder
    assert tiny.command(**given, **sizes, train_steps=3) == run.DONE
  folder = tmp_path / "run" / "checkpoints"
  largest = max(path.stat().st_size for path in folder.iterdir())
  for path in folder.glob("ckpt-[23].*"):
    path.unlink()
  done = limited(command(demo_records, tmp_path / "run"), largest - 1000)
  assert done.returncode == run.FAILED, done.stderr
  assert "File too large" in done.stderr
  assert "Traceback" not in done.stderr
  assert [p.name for p in folder.glob("*.index")] == ["ckpt-1.index"]
  assert run_log.read(folder.parent)[-1]["step"] <= 2
  given["model_dir"] = tmp_path / "run"
  assert tiny.command(**given, **sizes, train_steps=3) == run.DONE
  one, other = (
    tf.train.load_checkpoint(checkpoint.find(str(tmp_path / name)))
    for name in ("run", "whole")
  )
  for key in one.get_variable_to_shape_map():
    if "OBJECT_GRAPH" not in key and "save_counter" not in key:
      np.testing.assert_array_equal(one.get_tensor(key), other.get_tensor(key))


# The records of a split, and what is written when all images are done.
@pytest.mark.parametrize("most_bytes", [1500, 2300])
def test_a_full_disk_leaves_no_half_a_data_set(tmp_path, most_bytes):
  site = Site(tmp_path)
  site.write("image,patient_id,label", *patients(60))
  done = limited(["-m", "data.build_tfrecords", *site.flags()], most_bytes)
  assert done.returncode == 1, done.stderr
  line = done.stderr.splitlines()[-1]
  assert line.startswith("The build failed, nothing was written. The system ")
  assert f"refused '{site.output}': File too large. Raise the limit" in line
  assert line.count(str(site.output)) == 1
  for unwanted in ("Traceback", "{{", ".building-"):
    assert unwanted not in done.stderr
  left = {path.name for path in tmp_path.iterdir()}
  assert left == {"manifest.csv", "secret-images"}
  with pytest.raises(dataset_json.DatasetError):
    dataset_json.load(site.output)
  assert site.run() == 0


@pytest.mark.parametrize("place", ["/proc/run", "/dev/null/run"])
def test_where_nothing_can_be_written_is_said(demo_records, place):
  done = limited(command(demo_records, place), 10**9)
  assert done.returncode in (run.BAD_USE, run.FAILED)
  assert place.rsplit("/", 1)[0] in done.stderr
  assert "Traceback" not in done.stderr
