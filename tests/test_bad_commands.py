"""Mistakes in commands and damaged run folders: told, with no traceback.

Each row is what happened to the folder before, the command, and words that its
message must have.
"""

import json
import os
import pathlib

import pytest
import test_earlier_version
import tiny

import run
from tf_micle.system import system_faults

TRAIN = {"mode": "pretrain", "data_dir": "records"}
TUNE = {"mode": "finetune", "data_dir": "records"}
EVAL = {"mode": "eval", "eval_split": "test", "model_dir": "tuned"}
PRETRAINED = {**test_earlier_version.COMMANDS["pretrained"], **TRAIN}
PRETRAINED["model_dir"] = "pretrained"
EXPORT = {"mode": "export", "model_dir": "tuned", "export_dir": "served"}


def change(path, **values):
  """Changes values of a JSON file."""
  path = pathlib.Path(path)
  path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def drop(path, name):
  path = pathlib.Path(path)
  content = json.loads(path.read_text())
  del content[name]
  path.write_text(json.dumps(content))


def put(path, text=""):
  pathlib.Path(path).parent.mkdir(exist_ok=True)
  pathlib.Path(path).write_text(text)


FLAGS, FACTS = "tuned/flags.json", "tuned/provenance.json"
ROWS = {
  "a file for a folder": (
    lambda: put("file"),
    {**TRAIN, "model_dir": "file", "train_split": "none"},
    ["2 problems", "Expected --model_dir to be a folder", "'none'"],
  ),
  "a folder below a file": (
    lambda: put("file"),
    {**TRAIN, "model_dir": "file/run"},
    ["1 problem,", "to be where this user may write"],
  ),
  "eval of no run": (None, {**EVAL, "model_dir": None}, ["--model_dir"]),
  "eval of no run, data named": (
    None,
    {**EVAL, "model_dir": None, "data_dir": "records"},
    ["--model_dir"],
  ),
  "flags cut off": (
    lambda: put(FLAGS, "{"),
    {**EVAL, "data_dir": "records"},
    ["1 problem", "flags.json", "not JSON"],
  ),
  "flags with an unknown value": (
    lambda: change(FLAGS, unit="study", image_size="abc"),
    EVAL,
    ["2 problems", "--unit=study", "--image_size=abc", "newer version"],
  ),
  "flags of a newer version": (
    lambda: change(FLAGS, format_version=2),
    EXPORT,
    ["format_version 1 or less", "update the code"],
  ),
  "checkpoints without flags": (
    lambda: os.remove("pretrained/flags.json"),
    {**TRAIN, "model_dir": "pretrained", "temperature": 0.7},
    ["flags.json", "checkpoints without it"],
  ),
  "no task": (lambda: drop(FACTS, "task"), EVAL, ["no task with its classes"]),
  "classes that are none": (
    lambda: change(FACTS, class_names=5),
    EXPORT,
    ["no task with its classes"],
  ),
  "a log with a bad line": (
    lambda: put("pretrained/metrics.jsonl", "{}\n"),
    PRETRAINED,
    ["metrics.jsonl", "line 1"],
  ),
  "patients that are none": (
    lambda: put("tuned/trained_on.json", "{}"),
    EVAL,
    ["trained_on.json", "no list"],
  ),
  "a sweep of another form": (
    lambda: [put("swept/sweep.json", '{"arms": [{}]}'), put("s", "--seed=1,2")],
    {**TUNE, "model_dir": "swept", "sweep": "s"},
    ["sweep.json", "another form"],
  ),
  "a value of a sweep": (
    lambda: put("s", "--use_blur=maybe,true"),
    {**TUNE, "model_dir": "swept", "sweep": "s"},
    ["Expected a value of --use_blur. Received: maybe"],
  ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_mistake_is_told(saved, capsys, name):
  spoil, command, words = ROWS[name]
  if spoil:
    spoil()
  defaults = dict.fromkeys(tiny.given(command["mode"]))
  if command["mode"] == "pretrain" and command["model_dir"] != "pretrained":
    defaults = {}
  assert tiny.command(**{**defaults, **command}) == run.BAD_USE
  said = capsys.readouterr().err
  assert "Traceback" not in said
  for text in words:
    assert text in said, said


@pytest.mark.parametrize(
  "config",
  [
    "[]",
    '{"cluster": 5}',
    '{"cluster": {"worker": 5}, "task": {"type": "worker", "index": 0}}',
    '{"cluster": {"worker": ["a:1", "b:1"]}}',
    '{"cluster": {"worker": ["a:1", "b:1"]}, "task": 3}',
    '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
  ],
)
def test_a_cluster_that_is_none(monkeypatch, capsys, tmp_path, config):
  monkeypatch.setenv("TF_CONFIG", config)
  assert tiny.command(model_dir=tmp_path / "run") == run.BAD_USE
  said = capsys.readouterr().err
  assert "Expected TF_CONFIG, such as" in said
  assert "Traceback" not in said


def test_a_tpu_that_is_not_there(capsys, tmp_path):
  asked = {"strategy": "tpu", "tpu_name": "nonsense"}
  assert tiny.command(model_dir=tmp_path / "run", **asked) == run.BAD_USE
  said = capsys.readouterr().err
  assert "Expected a TPU at 'nonsense' (--tpu_name). Received:" in said
  assert "node" not in said


def test_memory_that_runs_out_is_no_fault_of_the_program():
  import tensorflow as tf

  error = tf.errors.ResourceExhaustedError(
    None, None, "{{node a}} OOM when allocating [9] [Op:Conv2D] name: "
  )
  said = system_faults.reason(error)
  assert said.startswith("Memory ran out: OOM when allocating [9]. Lower --")
  assert system_faults.reason(ValueError("OOM")) is None
