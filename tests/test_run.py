"""`run.py --mode=pretrain` as its user sees it, on a small demo data set."""

import json
import os
import pathlib
import re
import shlex
import signal

import numpy as np
import pytest
import tensorflow as tf
import tiny
from absl import flags
from PIL import Image

import run
from data.batches import pairs
from tf_micle.runs import run_log

# What each enum flag of pretraining may be told here; strategies of several
# devices and the deepest networks have tests of their own, AdamW is for
# fine-tuning.
_ELSEWHERE = {"tpu", "multi_worker", "mirrored", "101", "152", "200", "adamw"}
_BY_MODULE = flags.FLAGS.flags_by_module_dict()
_OTHER_MODES = (
  run.reader.finetuning,
  run.reader.evaluation,
  run.reader.prediction,
)
ENUMS = {
  flag.name: [v for v in flag.parser.enum_values if v not in _ELSEWHERE]
  for module in set(run.reader.MODULES) - set(_OTHER_MODES)
  for flag in _BY_MODULE[module.__name__]
  if isinstance(flag, flags.EnumFlag) and flag.name != "mode"
}
ROWS = max(map(len, ENUMS.values()))


@pytest.fixture
def pretrain(demo_records, tmp_path):
  """Runs a tiny pretraining into `tmp_path / name`; returns its status."""

  def go(name="run", **changes):
    return tiny.command(
      **{
        "data_dir": demo_records,
        "model_dir": tmp_path / name,
        "use_micle": True,
        **changes,
      }
    )

  return go


def weights(run_dir):
  """All that a run's newest checkpoint holds, by key."""
  reader = tf.train.load_checkpoint(str(run_dir / "checkpoints"))
  keys = reader.get_variable_to_shape_map()
  return {
    key: reader.get_tensor(key)
    for key in keys
    if not key.startswith("_CHECKPOINTABLE") and "save_counter" not in key
  }


def assert_same_weights(one, other):
  one, other = weights(one), weights(other)
  assert one.keys() == other.keys()
  for key, value in one.items():
    np.testing.assert_array_equal(other[key], value, err_msg=key)


def test_a_run_leaves_what_the_design_says(pretrain, tmp_path):
  assert pretrain(train_steps=3) == run.DONE
  folder = tmp_path / "run"
  rows = run_log.read(folder)
  assert [row["step"] for row in rows] == [1, 2, 3]
  promised = {
    "loss",
    "contrastive_loss",
    "contrastive_accuracy",
    "contrastive_entropy",
    "embedding_std",
    "learning_rate",
    "images_per_second",
  }
  assert all(promised <= row.keys() for row in rows)
  assert 0 <= rows[-1]["probe_accuracy"] <= 1
  assert json.loads((folder / "flags.json").read_text())["use_micle"] is True
  provenance = json.loads((folder / "provenance.json").read_text())
  assert provenance["versions"]["tensorflow"] == tf.__version__
  assert len(provenance["data_digest"]) == 64
  assert np.ptp(np.asarray(Image.open(folder / "positive_pairs.png"))) > 100
  events = tf.data.TFRecordDataset([str(p) for p in folder.glob("events*")])
  tags = {
    value.tag
    for event in events.as_numpy_iterator()
    for value in tf.compat.v1.Event.FromString(event).summary.value
  }
  assert {"loss", "probe_accuracy", "positive_pairs"} <= tags


def test_the_same_command_goes_on_to_the_same_weights(pretrain, tmp_path):
  assert pretrain("whole", train_steps=5, checkpoint_steps=2) == run.DONE
  # The schedule is that of 5 steps; a stop after 2 is what a kill leaves.
  assert pretrain("parts", train_steps=5, checkpoint_steps=2) == run.DONE
  folder = tmp_path / "parts" / "checkpoints"
  for path in [*folder.glob("ckpt-5*"), *folder.glob("ckpt-4*")]:
    path.unlink()
  state = folder / "checkpoint"
  state.write_text('model_checkpoint_path: "ckpt-2"\n')
  assert pretrain("parts", train_steps=5, checkpoint_steps=2) == run.DONE
  assert_same_weights(tmp_path / "whole", tmp_path / "parts")
  rows = run_log.read(tmp_path / "parts")
  assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]


def test_a_finished_run_is_left_as_it_is(pretrain, tmp_path):
  assert pretrain() == run.DONE
  before = weights(tmp_path / "run")
  assert pretrain() == run.DONE
  after = weights(tmp_path / "run")
  assert all(np.array_equal(before[key], after[key]) for key in before)
  assert pretrain(train_steps=1) == run.BAD_USE


@pytest.mark.parametrize(
  ("warmup", "expected"),
  [
    ({"warmup_epochs": 0.0}, 0.25 * (1 + np.cos(np.pi * np.arange(4) / 4))),
    ({"warmup_epochs": None, "warmup_steps": 2}, [0, 0.25, 0.5, 0.25]),
  ],
)
def test_the_logged_learning_rate_is_the_one_that_was_used(
  pretrain, tmp_path, warmup, expected
):
  assert pretrain(**warmup, learning_rate=0.5, train_steps=4) == run.DONE
  logged = [row["learning_rate"] for row in run_log.read(tmp_path / "run")]
  np.testing.assert_allclose(logged, expected, rtol=1e-5)


def test_a_run_does_not_go_on_with_other_flags(pretrain, tmp_path, capsys):
  assert pretrain(train_steps=0) == run.DONE
  changes = {"use_micle": False, "temperature": 0.5, "log_steps": 7}
  assert pretrain(train_steps=0, **changes) == run.BAD_USE
  printed = capsys.readouterr().err
  assert "--temperature: was 0.1, is 0.5; --use_micle: was True" in printed
  assert "log_steps" not in printed
  path = tmp_path / "run" / "provenance.json"
  origin = json.loads(path.read_text())
  path.write_text(json.dumps({**origin, "data_digest": "0"}))
  assert pretrain(train_steps=0) == run.BAD_USE
  assert "other training data" in capsys.readouterr().err


def test_zero_steps_save_the_initial_weights(pretrain, tmp_path):
  assert pretrain(train_steps=0) == run.DONE
  assert (tmp_path / "run" / "checkpoints" / "ckpt-0.index").exists()


def test_micle_starts_from_simclr_weights(pretrain, tmp_path, capsys):
  assert pretrain("simclr", use_micle=False) == run.DONE
  start = {"checkpoint": tmp_path / "simclr", "train_steps": 0}
  assert pretrain("micle", **start) == run.DONE
  one, other = weights(tmp_path / "simclr"), weights(tmp_path / "micle")
  for key, value in one.items():
    if key.startswith(("encoder", "projection_head")):
      np.testing.assert_array_equal(other[key], value, err_msg=key)
  assert other["optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"] == 0
  assert pretrain("wide", width_multiplier=0.125, **start) == run.BAD_USE
  printed = capsys.readouterr().err
  assert "--width_multiplier=0.0625. Received: --width_multiplier=0.125" in (
    printed
  )
  assert not (tmp_path / "wide").exists()


@pytest.mark.parametrize("row", range(ROWS))
@pytest.mark.usefixtures("eagerly")
def test_every_value_of_every_enum_flag_steps_once(pretrain, row):
  """Row k takes the k-th value of each flag that has one, else its first."""
  chosen = {
    name: values[row if row < len(values) else 0]
    for name, values in ENUMS.items()
  }
  # The probe's score would trace the network once more.
  chosen["lineareval_while_pretraining"] = False
  assert pretrain(**chosen, train_steps=1) == run.DONE


@pytest.mark.usefixtures("eagerly")
def test_selective_kernels_and_rotation_step_too(pretrain):
  flags_of = {"resnet_depth": 50, "sk_ratio": 0.0625, "rotation_degrees": 45}
  assert pretrain(**flags_of, image_size=40, train_steps=1) == run.DONE


@pytest.mark.usefixtures("eagerly")
def test_the_other_objectives_step(pretrain, tmp_path):
  """With the probe, whose labels are of all views; the picture shows them."""
  objective = {"views_per_bag": 4, "mask_same_patient": 1}
  assert pretrain(**objective, train_steps=1) == run.DONE
  (row,) = run_log.read(tmp_path / "run")
  assert np.isfinite(row["contrastive_loss"])
  assert row["probe_loss"] > 0
  with Image.open(tmp_path / "run" / "positive_pairs.png") as picture:
    assert picture.height % (28 + 98 * 4) == 0
  assert pretrain(**objective, temperature=1, train_steps=1) == run.BAD_USE


def test_all_mistakes_in_flags_are_reported_at_once(capsys):
  status = tiny.command(train_batch_sise=3, image_size="abc", optimizer="sgd")
  printed = capsys.readouterr().err
  assert status == run.BAD_USE
  assert "3 problems" in printed
  assert "train_batch_size" in printed
  assert "image_size=abc" in printed
  assert "lars|momentum|adam" in printed


@pytest.mark.parametrize(
  ("flags_of", "config", "said"),
  [
    ({"mode": "export"}, 2, "one process for --mode=export"),
    ({"mode": "finetune", "sweep": "none"}, 2, "one process for --sweep"),
    ({"data_dir": None}, 2, "the demo is for one process"),
    ({}, "{", "Expected TF_CONFIG, such as"),
  ],
)
def test_what_workers_cannot_do_is_said(
  flags_of, config, said, tmp_path, monkeypatch, capsys
):
  """Before anything waits for the others."""
  if config == 2:
    cluster = {"worker": ["127.0.0.1:1"] * 2}
    task = {"type": "worker", "index": 0}
    config = json.dumps({"cluster": cluster, "task": task})
  monkeypatch.setenv("TF_CONFIG", config)
  given = {"model_dir": tmp_path / "run", "data_dir": tmp_path, **flags_of}
  assert tiny.command(**given) == run.BAD_USE
  assert said in capsys.readouterr().err


def test_objectives_that_make_no_sense_together_are_told_at_once(capsys):
  status = tiny.command(
    **{"mask_same_patient": True, "dataset": "some"},
    **{"warmup_steps": 3},  # --warmup_epochs is given too.
  )
  printed = capsys.readouterr().err
  assert status == run.BAD_USE
  for said in (
    "--patient_feature, which says whose image it is",
    "--warmup_steps or --warmup_epochs, not both",
  ):
    assert said in printed, printed


def test_values_and_files_are_reported_together(capsys, tmp_path):
  status = tiny.command(
    temperature=0,
    min_crop_area=2,
    data_dir=tmp_path / "none",
    checkpoint=tmp_path / "nor_this",
    strategy="tpu",
  )
  printed = capsys.readouterr().err
  assert status == run.BAD_USE
  for what in ("temperature > 0", "min_crop_area", "--model_dir", "none'"):
    assert what in printed
  assert "nor_this" in printed
  assert "TPU" in printed
  assert "Traceback" not in printed


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"train_batch_size": 64}, "it has 12|which has 12"),
    ({"train_split": "tests"}, "train, validation|'train'"),
    ({"eval_split": "dev"}, "'dev'.*--nolineareval_while_pretraining"),
    ({"seed": -1}, "seed=-1"),
    ({"strategy": "mirrored", "train_batch_size": 5}, "multiple of 2"),
  ],
)
def test_data_that_cannot_work_is_said_before_anything_is_written(
  pretrain, tmp_path, capsys, changes, message
):
  assert pretrain(**changes) == run.BAD_USE
  assert re.search(message, capsys.readouterr().err)
  assert not (tmp_path / "run").exists()


def test_an_unfinished_build_is_not_a_data_set(pretrain, tmp_path, capsys):
  folder = tmp_path / "half"
  folder.mkdir()
  (folder / "half-train.tfrecord-00000-of-00001").write_bytes(b"")
  assert pretrain(data_dir=folder) == run.BAD_USE
  assert "dataset.json" in capsys.readouterr().err


def test_a_run_that_goes_non_finite_stops_and_keeps_the_last_good(
  pretrain, tmp_path
):
  wild = {"optimizer": "momentum", "learning_rate": 1e20}
  assert pretrain(train_steps=40, checkpoint_steps=1, **wild) == run.FAILED
  saved = weights(tmp_path / "run")
  assert all(np.isfinite(value).all() for value in saved.values())
  # Where nothing was saved, the same folder takes the advice.
  assert pretrain("new", optimizer="momentum", learning_rate=1e38) == run.FAILED
  assert pretrain("new", optimizer="momentum", learning_rate=1e-3) == run.DONE


def test_sigterm_saves_and_exits_143(pretrain, tmp_path, monkeypatch):
  write = run_log.RunLog.write

  def write_then_signal(log, step, values, **marks):
    write(log, step, values, **marks)
    if step == 2:
      os.kill(os.getpid(), signal.SIGTERM)

  monkeypatch.setattr(run_log.RunLog, "write", write_then_signal)
  assert pretrain(train_steps=50) == run.STOPPED
  monkeypatch.undo()
  newest = tf.train.latest_checkpoint(str(tmp_path / "run" / "checkpoints"))
  assert newest.endswith("ckpt-3")
  assert pretrain(train_steps=50, log_steps=50) == run.DONE


def test_every_recipe_is_read():
  folder = pathlib.Path(run.reader.__file__).parent / "recipes"
  recipes = sorted(folder.glob("*.flags"))
  assert len(recipes) >= 9
  for recipe in recipes:
    flags.FLAGS.unparse_flags()
    run.parse(["run.py", f"--flagfile={recipe}", "--model_dir=x"])
    problems = run.Problems()
    options = run.reader.options(problems, run.run_folder)
    assert not problems
    assert options.image_size in (48, 224, 448)
  (grid,) = folder.glob("*.sweep")
  assert len(run.sweep.read(grid, flags.FLAGS)) == 28


def test_what_a_finetuning_run_takes_where_nothing_is_said(tmp_path):
  """The command line, then the pretrained run, then the recipe."""
  pretrained = tmp_path / "pretrained"
  (pretrained / "checkpoints").mkdir(parents=True)
  (pretrained / "checkpoints" / "ckpt-0.index").touch()
  (pretrained / "flags.json").write_text(
    json.dumps({"resnet_depth": 101, "image_size": 96, "optimizer": "lars"})
  )
  flags.FLAGS.unparse_flags()
  given = ["--learning_rate=7", f"--checkpoint={pretrained}", "--data_dir=d"]
  run.parse(["run.py", "--mode=finetune", "--model_dir=x", *given])
  problems = run.Problems()
  options = run.reader.options(problems, run.run_folder)
  assert not problems
  assert options.learning_rate == 7
  assert (options.resnet_depth, options.image_size) == (101, 96)
  assert (options.optimizer, options.train_batch_size) == ("adam", 64)
  # Linear probe, then fine-tune: half of the steps, however many there are.
  assert (options.encoder_rate, options.linear_probe_steps) == (0.03, -1)
  assert sorted(run.reader.given(but=["mode", "model_dir"])) == sorted(
    ["--learning_rate=7.0", *given[1:]]
  )
  flags.FLAGS.unparse_flags()
  run.parse(["run.py", "--mode=finetune", "--model_dir=x", "--data_dir=d"])
  scratch = run.reader.options(problems, run.run_folder)
  assert (scratch.optimizer, scratch.learning_rate) == ("momentum", 0.01)
  assert (scratch.encoder_rate, scratch.linear_probe_steps) == (1, 0)


def test_a_fault_of_the_program_is_not_told_as_the_users(
  pretrain, monkeypatch, capsys
):
  def broken(self, first_step=0, context=None):
    raise ValueError("operands could not be broadcast together")

  monkeypatch.setattr(pairs.PairBatches, "batches", broken)
  assert pretrain() == run.FAILED
  printed = capsys.readouterr().err
  assert "Traceback" in printed
  assert "broadcast" in printed
  assert "a fault of the program" in printed
  assert "problem," not in printed


@pytest.mark.parametrize("name", ["flags.json", "trained_on.json"])
@pytest.mark.parametrize(
  ("content", "said"),
  [("{", "JSON|Expecting"), ('{"format_version": 99}', "update the code|as a")],
)
def test_a_damaged_file_of_a_run_is_named(
  pretrain, tmp_path, capsys, name, content, said
):
  assert pretrain(train_steps=0) == run.DONE
  (tmp_path / "run" / name).write_text(content)
  assert pretrain(train_steps=0) == run.BAD_USE
  printed = capsys.readouterr().err
  assert name in printed
  assert re.search(said, printed)


def test_next_steps_are_quoted_for_the_shell(pretrain, demo_records, capsys):
  assert pretrain("my run", train_steps=0) == run.DONE
  line = next(
    line for line in capsys.readouterr().out.splitlines() if "run.py" in line
  )
  words = shlex.split(line.partition(": ")[2])
  assert any(word.endswith("/my run") for word in words)
  assert f"--data_dir={demo_records}" in words
