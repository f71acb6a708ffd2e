"""Which checkpoint is kept as the best, and when a run gives up."""

import pytest
import tensorflow as tf

from tf_micle.runs import selection


def make(tmp_path, select_by="top1", patience=0, rows=()):
  optimizer = tf.keras.optimizers.SGD()
  weight = tf.Variable(0.0)
  optimizer.build([weight])
  parts = {"optimizer": optimizer, "head": tf.train.Checkpoint(weight=weight)}
  return parts, selection.Selection(
    tmp_path, parts, select_by=select_by, patience=patience, rows=rows
  )


def validate(parts, selected, scores, name="top1", first=1):
  for step, score in enumerate(scores, start=first):
    parts["optimizer"].iterations.assign(step)
    selected.consider({f"validation_{name}": score})


def kept(tmp_path):
  newest = tf.train.latest_checkpoint(str(tmp_path / "best"))
  return int(newest.rsplit("-")[-1])


@pytest.mark.parametrize(
  ("name", "scores", "best"),
  [("top1", [0.3, 0.5, 0.5, 0.4], 2), ("brier", [0.3, 0.1, 0.2], 2)],
)
def test_the_first_best_is_kept(tmp_path, name, scores, best):
  parts, selected = make(tmp_path, name)
  validate(parts, selected, scores, name)
  assert kept(tmp_path) == best
  rows = [{"step": k, f"validation_{name}": s} for k, s in enumerate(scores, 1)]
  assert selection.best([{"step": 0}, *rows], name)["step"] == best


def test_a_run_that_goes_on_selects_as_one_that_never_stopped(tmp_path):
  scores = [0.6, 0.5, 0.4, 0.7, 0.2, 0.1]
  parts, whole = make(tmp_path / "whole", patience=2)
  ended = []
  for step, score in enumerate(scores, 1):
    validate(parts, whole, [score], first=step)
    ended.append(whole.exhausted)
  assert ended == [False, False, True, False, False, True]
  rows = [
    {"step": k, "validation_top1": s} for k, s in enumerate(scores[:3], 1)
  ]
  parts, part = make(tmp_path / "part", patience=2, rows=rows)
  assert part.exhausted
  validate(parts, part, [0.5], first=4)  # Worse than the 0.6 before.
  assert not (tmp_path / "part" / "best" / "checkpoint").exists()


def test_an_undefined_score_is_never_the_best(tmp_path):
  parts, selected = make(tmp_path, patience=1)
  selected.consider({"loss": 1.0})
  assert not selected.exhausted
  assert selection.best([{"step": 1, "loss": 1.0}], "top1") is None
