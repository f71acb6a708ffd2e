"""Health checks of runs: when, against what, and what is said."""

import types

import numpy as np
import pytest
import tensorflow as tf
import tiny

import run
from tf_micle.contrastive.model import ContrastiveModel
from tf_micle.encoder.build import build_projection_head
from tf_micle.health import checks
from tf_micle.runs import run_log
from tf_micle.system import distribution
from tf_micle.views.photometry_options import PhotometryOptions


@pytest.fixture
def pretrain(demo_records, tmp_path):
  """Runs a tiny pretraining with checks; returns the rows and the log."""

  def go(name="run", **changes):
    flags = {
      **{"data_dir": demo_records, "model_dir": tmp_path / name},
      **{"use_micle": True, "health_checks": True},
      **{"train_steps": 4, "checkpoint_steps": 2, **changes},
    }
    assert tiny.command(**flags) == run.DONE
    return run_log.read(tmp_path / name)

  return go


def health(row):
  return {k: v for k, v in row.items() if k.startswith("health_")}


def test_a_run_is_measured_from_step_0_on(pretrain, caplog, tmp_path):
  caplog.set_level("INFO")
  rows = pretrain(log_steps=4)
  assert [row["step"] for row in rows] == [0, 2, 4]
  assert "loss" not in rows[0]
  assert "Health checks: on " in caplog.text
  assert "Health at step 4: " in caplog.text
  promised = {
    *("alignment", "uniformity", "rankme", "lidar", "retrieval_map"),
    *("recall_at_1", "knn_top1", "knn_mean_auroc"),
  }
  # Checkpoints that follow each other closely are not all checked.
  assert not health(rows[1])
  for row in rows[::2]:
    assert {f"health_{name}" for name in promised} <= row.keys()
  assert health(pretrain("again", seed=1)[0]).keys() == health(rows[0]).keys()


def test_step_0_is_measured_before_anything_is_learnt(pretrain):
  """After the first step, with the weights of before it, and no trace left."""
  runs = [
    pretrain("slow", learning_rate=1e-3, log_steps=4),
    pretrain("fast", learning_rate=10.0, log_steps=4),
  ]
  assert health(runs[0][0]) == health(runs[1][0])
  assert health(runs[0][-1]) != health(runs[1][-1])
  (random,) = pretrain("random", train_steps=0)
  assert health(random) == health(runs[0][0])
  unmeasured = pretrain(
    "off", learning_rate=10.0, health_checks=False, log_steps=4
  )
  assert unmeasured[-1]["loss"] == runs[1][-1]["loss"]


def test_without_a_validation_split_a_line_says_so(pretrain, caplog):
  caplog.set_level("INFO")
  pretrain("both", train_split="train+validation", train_steps=0)
  assert "validation is trained on too" in caplog.text
  rows = pretrain(eval_split="dev", lineareval_while_pretraining=False)
  assert not any(map(health, rows))
  assert caplog.text.count("No health checks: ") == 1


class Nearby:
  """Held-out images whose bag shows in 4 of 64 pixels, beside strong noise."""

  def __init__(self, bags, seed):
    draw = np.random.default_rng(seed)
    code = draw.choice([-30, 30], (bags, 1, 4))
    noise = draw.integers(-100, 100, (bags, 2, 60))
    pixels = np.concatenate([np.repeat(code, 2, axis=1), noise], axis=2) + 128
    grey = pixels.reshape(bags, 2, 8, 8, 1).astype(np.uint8)
    self.views = np.repeat(grey, 3, axis=-1)
    names = np.repeat(np.arange(bags).astype(str), 2)
    self.table = types.SimpleNamespace(
      bag_id=names, patient_id=names, row=np.arange(2 * bags), labels=None
    )
    self.checksum = seed

  def batches(self, context):
    views = self.views.reshape(-1, 1, 8, 8, 3)
    return tf.data.Dataset.from_tensors({"views": views})

  def steps(self, replicas):
    return 1


def linear_model():
  """Returns a contrastive model whose encoder is linear."""
  images = tf.keras.Input((8, 8, 3))
  h = tf.keras.layers.Dense(8)(tf.keras.layers.Flatten()(images - 0.5))
  encoder = tf.keras.Model(images, {"final_avg_pool": h})
  options = tiny.options(color_jitter_strength=0.0, use_blur=False)
  model = ContrastiveModel(
    encoder,
    build_projection_head(options, 8),
    photometry_options=PhotometryOptions.of(options),
    temperature=0.2,
  )
  model.compile(tf.keras.optimizers.Adam(0.01))
  return model


def test_what_learns_and_what_collapses_is_told(caplog):
  caplog.set_level("INFO")
  tf.keras.utils.set_random_seed(0)
  model, held_out = linear_model(), Nearby(60, seed=0)
  health = checks.HealthChecks(
    types.SimpleNamespace(name="toy/dev", num_images=120, class_names=()),
    lambda source, most: held_out,
    **{"save_every": 1, "views_a_step": 128, "begun": "random weights"},
  )
  strategy = distribution.choose("one_device")
  health.begin(model, strategy)
  start = model.get_weights()

  def verdict_of_now():
    caplog.clear()
    health.check(100, model, strategy, [])
    return caplog.text

  assert "no better than random weights yet" in verdict_of_now()
  pairs = np.stack([Nearby(64, seed=k).views for k in range(1, 101)])
  model.fit(tf.data.Dataset.from_tensor_slices({"views": pairs}), verbose=0)
  assert ": learning (" in verdict_of_now()
  model.set_weights([weight * 0 + (weight.ndim < 2) for weight in start])
  assert ": collapsing: uniformity came from " in verdict_of_now()
  assert "--learning_rate" in verdict_of_now()
