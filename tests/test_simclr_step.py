"""Steps of pretraining against SimCLR's definitions, written out here."""

import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

import run
from tf_micle.contrastive.build import build_contrastive_model
from tf_micle.options import PretrainOptions
from tf_micle.views import view_batch

PAIRS, SIZE, TEMPERATURE = 16, 16, 0.1
# Rate and decay are such that both show in float32 weights after a step.
BASE_RATE, DECAY, MOMENTUM, TRUST = 64.0, 0.5, 0.9, 1e-3
WARMUP, STEPS = 2, 5
SMALL = {
  "resnet_depth": 18,
  "width_multiplier": 0.0625,
  "image_size": SIZE,
  "proj_out_dim": 8,
  "train_batch_size": PAIRS,
  "learning_rate": BASE_RATE,
  "weight_decay": DECAY,
  "warmup_epochs": 1,
  "precision": "float32",
}


def recipe(name, **changes):
  """The options of a recipe, some of them changed."""
  folder = pathlib.Path(run.reader.__file__).parent / "recipes"
  given = [f"--{key}={value}" for key, value in changes.items()]
  flags.FLAGS.unparse_flags()
  run.parse(["run.py", f"--flagfile={folder / name}.flags", *given])
  return run.reader.options(run.Problems(), run.run_folder)


def simclr_loss(z):
  """The loss of pairs z, (b, 2, d): two views' losses, each a mean over b."""
  z = tf.cast(z, tf.float64)
  z /= tf.norm(z, axis=-1, keepdims=True)
  views = [z[i, k] for k in (0, 1) for i in range(PAIRS)]

  def loss(anchor, partner):
    e = {
      k: tf.exp(tf.tensordot(views[anchor], views[k], 1) / TEMPERATURE)
      for k in range(2 * PAIRS)
      if k != anchor
    }
    return -tf.math.log(e[partner] / tf.add_n(list(e.values())))

  first = [loss(i, i + PAIRS) for i in range(PAIRS)]
  second = [loss(i + PAIRS, i) for i in range(PAIRS)]
  return tf.add_n(first) / PAIRS + tf.add_n(second) / PAIRS


def rate(step):
  """The learning rate: scaled to the batch, linear warm-up, half a cosine."""
  peak = BASE_RATE * PAIRS / 256
  if step < WARMUP:
    return peak * step / WARMUP
  done = (step - WARMUP) / (STEPS - WARMUP)
  return peak * (1 + math.cos(math.pi * done)) / 2


def lars(variable, gradient, velocity, step):
  """What LARS subtracts; decay and trust ratio are for kernels, by name."""
  w, g = (np.asarray(x, np.float64) for x in (variable, gradient))
  ratio = 1.0
  if "kernel" in variable.name:
    g = g + DECAY * w
    ratio = TRUST * np.linalg.norm(w) / np.linalg.norm(g)
  return MOMENTUM * velocity + rate(step) * ratio * g


@pytest.mark.parametrize(
  ("reduction", "share"), [("pairs", 1.0), ("anchors", 0.5)]
)
def test_a_recipe_steps_as_simclr_does(reduction, share):
  """Each step's update of each variable, from the weights before it.

  Eagerly, so that images and forward pass are the oracle's to the bit, and no
  ReLU falls to the other side of zero by rounding.
  """
  asked = {} if reduction == "pairs" else {"loss_reduction": reduction}
  options = recipe("derm_simclr", **SMALL, **asked)
  model, _ = build_contrastive_model(
    run.reader.pick(PretrainOptions, options),
    steps_per_epoch=WARMUP,
    train_steps=STEPS,
  )
  trained = model.trainable_variables
  kinds = {v.name.split("/")[-1] for v in trained}
  assert kinds == {"kernel:0", "gamma:0", "beta:0"}
  expected = [np.zeros(v.shape) for v in trained]
  draw = np.random.default_rng(0)
  for step in range(4):
    shape = (PAIRS, 2, SIZE, SIZE, 3)
    views = tf.constant(draw.integers(0, 256, shape, np.uint8))
    seen = view_batch.merge(model.see(views, step))
    with tf.GradientTape() as tape:
      h = model.encoder(seen, training=True)["final_avg_pool"]
      z, _ = model.projection_head(h, training=True)
      loss = share * simclr_loss(view_batch.split(z, views))
    gradients = tape.gradient(loss, trained)
    expected = [
      lars(*of_variable, step)
      for of_variable in zip(trained, gradients, expected)
    ]
    before = [v.numpy() for v in trained]
    model.reset_metrics()
    values = model.train_step({"views": views})
    assert float(values["contrastive_loss"]) == pytest.approx(
      float(loss), rel=1e-5
    )
    for v, old, update in zip(trained, before, expected):
      error = np.linalg.norm(old - v.numpy() - update)
      assert error <= 1e-4 * np.linalg.norm(update), (step, v.name)


@pytest.mark.parametrize(
  "name", ["imagenet_simclr", "derm_simclr", "derm_micle", "cxr_simclr"]
)
def test_what_a_recipe_does_not_change_is_simclrs(name):
  options = recipe(name)
  expected = {
    "loss_reduction": "pairs",
    "temperature": 0.1,
    "hidden_norm": True,
    "optimizer": "lars",
    "momentum": 0.9,
    "weight_decay": 1e-6,
    "learning_rate_scaling": "linear",
    "warmup_epochs": 10,
    "min_crop_area": 0.08,
    "min_object_covered": 0.1,
    "resize_method": "bicubic",
    "batch_norm_decay": 0.9,
  }
  assert {name: getattr(options, name) for name in expected} == expected
