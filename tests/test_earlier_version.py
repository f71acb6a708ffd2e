"""What an earlier version saved opens, resumes, evaluates and exports."""

import csv

import numpy as np
import pytest
import tensorflow as tf
import tiny

import run
from tf_micle.runs import run_log

# What the runs were told, as their users would tell it again.
_SHARED = {
  **{"data_dir": "records", "train_batch_size": 4, "log_steps": 1},
  **{"train_steps": 4, "checkpoint_steps": 2, "warmup_epochs": 0},
  **{"learning_rate_scaling": "none", "precision": "float32"},
}
_NETWORK = {
  **{"resnet_depth": 18, "width_multiplier": 0.03125, "image_size": 16},
  "proj_out_dim": 8,
}
COMMANDS = {
  "pretrained": {
    **{"mode": "pretrain", "use_micle": True, **_NETWORK, **_SHARED},
    **{"optimizer": "lars", "learning_rate": 0.5},
  },
  "tuned": {
    # Its optimiser and rate, the defaults of then, are not said.
    **{"mode": "finetune", "checkpoint": "pretrained", **_SHARED},
  },
}


def rows(path):
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


def chances(path):
  names = [name for name in rows(path)[0] if name.startswith("probability_")]
  return np.array([[float(row[n]) for n in names] for row in rows(path)])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_is_resumed_as_it_was_begun(saved, name):
  """With the loss, crops and draws of then, whatever the defaults are now."""
  for flag in set(tiny.given(COMMANDS[name]["mode"])):
    COMMANDS[name].setdefault(flag, None)
  assert tiny.command(**COMMANDS[name], model_dir=name) == run.DONE
  (saved / "expected").mkdir()
  log = (saved / f"{name}.metrics.jsonl").read_text()
  (saved / "expected" / "metrics.jsonl").write_text(log)
  expected, found = run_log.read(saved / "expected"), run_log.read(saved / name)
  assert [row["step"] for row in found] == [1, 2, 3, 4]
  for one, other in zip(found, expected):
    # Another processor sums in another order, and steps amplify that.
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-2)


def test_a_finetuned_run_predicts_and_evaluates_as_it_did(saved):
  told = {"mode": "predict", "model_dir": "tuned", "manifest": "listed.csv"}
  told.update(image_root="images", output="again.csv")
  assert tiny.command(**told) == run.DONE
  np.testing.assert_allclose(
    chances("again.csv"), chances("predicted.csv"), atol=1e-4
  )
  before = chances(saved / "tuned" / "eval" / "test" / "predictions.csv")
  told = {"mode": "eval", "model_dir": "tuned", "eval_split": "test"}
  assert tiny.command(**told, bootstrap_samples=5) == run.DONE
  after = chances(saved / "tuned" / "eval" / "test" / "predictions.csv")
  np.testing.assert_allclose(after, before, atol=1e-4)


def test_a_saved_model_answers_and_is_exported_alike(saved):
  told = {"mode": "export", "model_dir": "tuned", "export_dir": "serving"}
  assert tiny.command(**told) == run.DONE
  images = [(saved / "images" / r["image"]) for r in rows("listed.csv")]
  encoded = tf.constant([path.read_bytes() for path in images])
  for version in ("1", "2"):
    model = tf.saved_model.load(str(saved / "serving" / version))
    found = model.signatures["serving_default"](images=encoded)
    np.testing.assert_allclose(
      found["probabilities"], chances("predicted.csv"), atol=1e-4
    )
