"""Whom a model has seen, and what that means for an evaluation."""

import json

import pytest

from tf_micle.runs import trained_on


def patients(stage, *names, data="a/train", key_id="k", digest="d"):
  return trained_on.PatientSet(stage, data, digest, key_id, tuple(names))


TEST = patients("evaluate", "p3", "p4", data="a/test", digest="e")


@pytest.mark.parametrize(
  ("earlier", "problems", "warnings"),
  [
    (patients("finetune", "p1", "p2"), "", ""),
    (patients("finetune", "p1", "p3"), "1 of 2 patients is in both", ""),
    (patients("pretrain", "p3", "p4"), "", "2 of 2 .* pretrained on"),
    (patients("select", "p4"), "", "picked the checkpoint: scores are opt"),
    (
      patients("select", "p9", key_id="x"),
      "",
      "which picked the checkpoint, cannot be told: .*Scores are optimistic if",
    ),
    (patients("finetune", "p3", digest="e", key_id="x"), "1 of 2", ""),
    (patients("finetune", "p9", key_id="x"), "", "different keys"),
    (patients("finetune"), "", "cannot be told: patients are not known"),
    (patients("finetune", digest="e"), "same images", ""),
  ],
)
def test_check(earlier, problems, warnings):
  import re

  found, warned = trained_on.check([earlier], TEST)
  for lines, expected in ((found, problems), (warned, warnings)):
    assert len(lines) == bool(expected)
    assert all(re.search(expected, line) for line in lines)


def test_sets_are_kept_and_found_from_a_checkpoints_path(tmp_path):
  sets = [patients("pretrain", "p1"), patients("finetune", "p1", "p2")]
  trained_on.write(tmp_path, sets)
  prefix = tmp_path / "checkpoints" / "ckpt-3"
  for path in (tmp_path, prefix.parent, prefix):
    assert trained_on.read(str(path)) == sets


def test_a_damaged_file_is_an_error_and_none_is_unknown(tmp_path):
  (unknown,) = trained_on.read(str(tmp_path))
  assert unknown.patients == ()
  trained_on.write(tmp_path, [patients("finetune", "p1", "p2")])
  path = tmp_path / trained_on.FILE_NAME
  rows = json.loads(path.read_text())
  rows[0]["patients"].remove("p2")
  path.write_text(json.dumps(rows))
  with pytest.raises(ValueError, match=trained_on.FILE_NAME):
    trained_on.read(str(tmp_path))
