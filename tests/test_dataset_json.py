"""Description of a folder of records: read back, or what is wrong with it."""

from __future__ import annotations

import json

import pytest

from data.records import dataset_json
from data.records.dataset_json import (
  DatasetDescription,
  DatasetError,
  ImageSizes,
  SplitDescription,
)


def description(task="multi_label"):
  counts = {"edema": {"1": 2, "0": 0, "-1": 0, "missing": 1}}
  train = SplitDescription(2, 2, 3, 2, counts, {1: 1, 2: 1}, 2, (3, 4), "ab")
  return DatasetDescription(
    name="chest",
    task=task,
    class_names=("edema",),
    splits={"train": train},
    image_sizes=ImageSizes(10, 20, 30, 40),
    metadata={"view": ("", "frontal")},
    key_id="0123456789abcdef",
    options={"max_side": 512},
  )


@pytest.fixture
def folder(tmp_path):
  (tmp_path / "chest-train.tfrecord-00000-of-00002").write_bytes(b"abc")
  (tmp_path / "chest-train.tfrecord-00001-of-00002").write_bytes(b"abcd")
  dataset_json.save(description(), tmp_path)
  return tmp_path


def edit(folder, **changes):
  path = folder / "dataset.json"
  path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_round_trip(folder):
  assert dataset_json.load(folder) == description()
  assert dataset_json.load(str(folder)) == description()
  assert dataset_json.shard_paths(folder, "train") == [
    folder / "chest-train.tfrecord-00000-of-00002",
    folder / "chest-train.tfrecord-00001-of-00002",
  ]


def test_unknown_split_names_the_others(folder):
  with pytest.raises(DatasetError, match="'train'. Received: 'test'"):
    dataset_json.shard_paths(folder, "test")


def break_folder(folder, fault):
  path = folder / "dataset.json"
  shard = folder / "chest-train.tfrecord-00001-of-00002"
  actions = {
    "gone": lambda: folder.rename(folder.with_name("moved")),
    "unfinished": path.unlink,
    "not json": lambda: path.write_text("{"),
    "not text": lambda: path.write_bytes(b"\xff\xfe"),
    "a list": lambda: path.write_text("[]"),
    "old version": lambda: edit(folder, format_version=1),
    "new version": lambda: edit(folder, format_version=3, colour="red"),
    "no version": lambda: edit(folder, format_version=None),
    "task": lambda: edit(folder, task="magic"),
    "layout": lambda: edit(folder, splits={"train": {}}),
    "extra": lambda: edit(folder, colour="red"),
    "no shard": shard.unlink,
    "short shard": lambda: shard.write_bytes(b"a"),
  }
  actions[fault]()


@pytest.mark.parametrize(
  ("fault", "message"),
  [
    ("gone", "not a folder"),
    ("unfinished", "not a data set, or its build did not finish"),
    ("not json", "not JSON"),
    ("not text", "not JSON"),
    ("a list", "not an object"),
    ("old version", "Expected format_version 2 .* Received: 1: build .* anew"),
    ("new version", "Received: 3: a newer version .* update the code"),
    ("no version", "Received: None: build the data set anew"),
    ("task", "task 'magic'"),
    ("layout", "unknown layout"),
    ("extra", "unknown layout"),
    ("no shard", "00001-of-00002 is missing"),
    ("short shard", "00001-of-00002 has 1 of 4 bytes"),
  ],
)
def test_faults(folder, fault, message):
  break_folder(folder, fault)
  with pytest.raises(DatasetError, match=message):
    dataset_json.load(folder)


def test_patient_digest_ignores_order():
  digest = dataset_json.patient_digest
  assert digest(["a", "b"]) == digest(["b", "a"]) != digest(["ab"])
