"""Runs that are killed reach the weights of one that never was, to the bit."""

import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import tiny

import run
from tf_micle.runs import folder as run_folder
from tf_micle.runs import run_log
from tf_micle.system import folder_lock
from tf_micle.training import loop as training_loop

ROOT = pathlib.Path(__file__).parent.parent
KILLS = {"pretrain": 2, "finetune": 2}
STEPS = 60
COMMANDS = {
  "pretrain": ["--use_micle", "--rotation_degrees=20", "--health_checks"],
  "finetune": ["--optimizer=momentum", "--rotation_degrees=20"],
}


def start(mode, records, folder):
  """Starts the command in a process of its own."""
  arguments = {
    **{k: v for k, v in tiny.FLAGS.items() if k in tiny.given(mode)},
    **{"mode": mode, "data_dir": records, "model_dir": folder},
    **{"train_steps": STEPS, "log_steps": 5, "checkpoint_steps": 5},
    **{"keep_checkpoint_max": 3},
  }
  return subprocess.Popen(
    [
      sys.executable,
      str(ROOT / "run.py"),
      *(f"--{name}={value}" for name, value in arguments.items()),
      *COMMANDS[mode],
    ],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )


def weights(folder):
  """All that the last checkpoint of a run holds, by key."""
  reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
  return {
    key: reader.get_tensor(key)
    for key in reader.get_variable_to_shape_map()
    if not key.startswith("_CHECKPOINTABLE") and "save_counter" not in key
  }


def assert_same(one, other):
  """The same weights, and each step in the log once with the same values."""
  expected, found = weights(one), weights(other)
  assert expected.keys() == found.keys()
  for key, value in expected.items():
    np.testing.assert_array_equal(found[key], value, err_msg=key)
  logs = [
    [{**row, "images_per_second": None} for row in run_log.read(folder)]
    for folder in (one, other)
  ]
  assert logs[0] == logs[1]
  assert events(one) == events(other)


def events(folder):
  """Returns (tag, step) of all of TensorBoard's events, sorted."""
  paths = [str(path) for path in folder.glob("events*")]
  found = [
    tf.compat.v1.Event.FromString(record)
    for record in tf.data.TFRecordDataset(paths).as_numpy_iterator()
  ]
  return sorted((v.tag, e.step) for e in found for v in e.summary.value)


def newest(folder):
  """Returns the step of a run's newest checkpoint, 0 without one."""
  paths = run_folder.saved(folder / "checkpoints")
  return int(str(paths[0]).rsplit("-", 1)[1]) if paths else 0


@pytest.mark.parametrize("mode", COMMANDS)
def test_a_run_that_is_killed_again_and_again(mode, demo_records, tmp_path):
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  assert start(mode, demo_records, whole).wait() == run.DONE
  draw = random.Random(mode)
  steps = [0]
  for _ in range(KILLS[mode]):
    process = start(mode, demo_records, killed)
    beyond = steps[-1] + draw.randint(0, 5)
    while process.poll() is None and newest(killed) <= beyond:
      time.sleep(0.02)
    time.sleep(draw.uniform(0, 0.2))
    process.kill()
    process.wait()
    steps.append(newest(killed))
  assert 0 < steps[1] < STEPS  # It was in the middle.
  assert start(mode, demo_records, killed).wait() == run.DONE
  assert_same(whole, killed)
  if mode == "finetune":
    assert best(whole) == best(killed)


def best(folder):
  """Returns the names of the best checkpoint's files."""
  return sorted(path.name for path in (folder / "best").glob("ckpt*"))


@pytest.fixture
def finetune(demo_records, tmp_path):
  """Fine-tunes into `tmp_path / name`; returns the status."""

  def go(name):
    return tiny.command(
      mode="finetune",
      optimizer="momentum",
      data_dir=demo_records,
      model_dir=tmp_path / name,
      train_steps=4,
      checkpoint_steps=2,
    )

  return go


def test_a_signal_breaks_a_validation_off(finetune, tmp_path, monkeypatch):
  """It is made up for, so that the same checkpoint is picked."""
  assert finetune("whole") == run.DONE
  # The validation of step 2, that again, the one of step 4, and that again.
  for quiet, step in ((0, 2), (0, 2), (1, 4), (0, 4)):
    with monkeypatch.context() as patch:
      patch.setattr(training_loop.BreakOff, "_check", _signal_after(quiet))
      assert finetune("parts") == run.STOPPED
    row = run_log.read(tmp_path / "parts")[-1]
    assert row["step"] == step
    assert not any(name.startswith("validation_") for name in row)
  assert finetune("parts") == run.DONE
  # The choice of thresholds of a run that is done.
  points = tmp_path / "parts" / "operating_points.json"
  points.unlink()
  with monkeypatch.context() as patch:
    patch.setattr(training_loop.BreakOff, "_check", _signal_after(0))
    assert finetune("parts") == run.STOPPED
  assert not points.exists()
  assert finetune("parts") == run.DONE
  assert points.exists()
  assert_same(tmp_path / "whole", tmp_path / "parts")
  assert best(tmp_path / "whole") == best(tmp_path / "parts")


def test_a_signal_breaks_a_health_check_off(
  demo_records, tmp_path, monkeypatch
):
  def pretrain(name):
    return tiny.command(
      data_dir=demo_records,
      model_dir=tmp_path / name,
      health_checks=True,
      lineareval_while_pretraining=False,
    )

  assert pretrain("whole") == run.DONE
  with monkeypatch.context() as patch:
    patch.setattr(training_loop.BreakOff, "_check", _signal_after(0))
    assert pretrain("parts") == run.STOPPED
  rows = run_log.read(tmp_path / "parts")
  assert [row["step"] for row in rows] == [0, 1, 2]
  assert not any("health" in name for name in rows[-1])
  assert pretrain("parts") == run.DONE
  assert_same(tmp_path / "whole", tmp_path / "parts")
  assert "health_rankme" in run_log.read(tmp_path / "parts")[-1]


def _signal_after(quiet):
  """A check that lets so many validations' batches pass before a signal."""
  left = [quiet]

  def check(self):
    if left[0]:
      left[0] -= 1
      return
    self._stop.requested = True
    raise training_loop.BrokenOff

  return check


def test_two_runs_do_not_share_a_folder(finetune, tmp_path, capsys):
  with folder_lock.held(tmp_path / "run"):
    assert finetune("run") == run.BAD_USE
  assert f"process {os.getpid()}" in capsys.readouterr().err
  assert finetune("run") == run.DONE


def test_a_run_ends_later_but_not_earlier(demo_records, tmp_path, capsys):
  given = {"data_dir": demo_records, "model_dir": tmp_path / "run"}
  assert tiny.command(**given, train_steps=4, checkpoint_steps=1) == run.DONE
  for step in (2, 3, 4):
    for path in (tmp_path / "run" / "checkpoints").glob(f"ckpt-{step}.*"):
      path.unlink()
  assert tiny.command(**given, train_steps=3) == run.BAD_USE
  assert "train_steps: was 4, is 3, which is less" in capsys.readouterr().err
  assert tiny.command(**given, train_steps=5, cache_dataset=True) == run.BAD_USE
  assert "cache_dataset" in capsys.readouterr().err
  assert tiny.command(**given, train_steps=5, log_steps=2) == run.DONE
