"""What the pretraining step costs beside its encoder, and what remat saves.

  python benchmarks/step_cost.py

The whole step (photometry, forward, loss, backward, LARS, metrics; the loss is
fetched after each) through `fit` on views in memory, over forward and backward
of the same encoder alone on as many images, at the same precision: float32 and
what `--precision=auto` takes here. Then the step with `--remat`, and in float32
with `--jit=on`: time and peak memory over the plain one's. Each case is a
process of its own; ResNet-50, 224 pixels, 16 pairs.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import statistics
import sys
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

from benchmarks import new_process
from benchmarks.small import sized

PAIRS, SIZE, STEPS = sized(16, 8), sized(224, 96), 6


def options(**changes):
  """Returns SimCLR's settings for pretraining."""
  from tf_micle.options import PretrainOptions

  values = {
    "resnet_depth": 50,
    "width_multiplier": 1.0,
    "sk_ratio": 0.0,
    "image_size": SIZE,
    "batch_norm_decay": 0.9,
    "proj_head_mode": "nonlinear",
    "proj_out_dim": 128,
    "num_proj_layers": 2,
    "color_jitter_strength": 1.0,
    "use_blur": True,
    "optimizer": "lars",
    "learning_rate": 0.1,
    "learning_rate_scaling": "none",
    "warmup_epochs": 0.0,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "train_batch_size": PAIRS,
    "precision": "float32",
    "remat": False,
    "seed": 0,
    "temperature": 0.1,
    "hidden_norm": True,
  }
  return PretrainOptions(**{**values, **changes})


def bare(precision):
  """Returns the seconds of forward and backward of the encoder alone."""
  import tensorflow as tf

  from benchmarks import encoder_cost
  from tf_micle.encoder.build import build_encoder

  encoder = build_encoder(options(precision=precision), trains=True)
  images = tf.random.stateless_uniform((2 * PAIRS, SIZE, SIZE, 3), (0, 0))
  return encoder_cost.seconds(encoder, images, STEPS)


def model_and_views(precision, remat=False):
  """Returns a model to pretrain, compiled, and a batch of views."""
  import numpy as np

  from tf_micle.contrastive.build import build_contrastive_model

  model, _ = build_contrastive_model(
    options(precision=precision, remat=remat), steps_per_epoch=9, train_steps=9
  )
  draw = np.random.default_rng(0)
  return model, draw.integers(0, 256, (PAIRS, 2, SIZE, SIZE, 3), np.uint8)


def whole(precision, remat, jit=False):
  """Returns the seconds of a step of training."""
  import tensorflow as tf

  model, views = model_and_views(precision, remat)
  model.jit_compile = jit
  marks = []

  def mark(batch, logs):
    marks.append((time.perf_counter(), logs["loss"]))

  model.fit(
    tf.data.Dataset.from_tensors({"views": views}).cache().repeat(STEPS + 1),
    verbose=0,
    callbacks=[tf.keras.callbacks.LambdaCallback(on_train_batch_end=mark)],
  )
  times = [b - a for (a, _), (b, _) in zip(marks, marks[1:])]
  return statistics.median(times)


def fastest():
  """Returns the precision that --precision=auto takes on this machine."""
  from tf_micle.system import precision

  return precision.choose("auto", None)[0]


def main():
  """Prints a line a precision."""
  if len(sys.argv) > 1:
    name, *case = json.loads(sys.argv[1])
    seconds = {"bare": bare, "whole": whole}[name](*case)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([seconds, peak]))
    return
  for precision in dict.fromkeys(("float32", fastest())):
    alone, _ = new_process.measured("bare", precision)
    step, memory = new_process.measured("whole", precision, False)
    print(
      f"{precision}: step {step:.2f} s, encoder alone {alone:.2f} s, "
      f"{step / alone:.2f} x",
      flush=True,
    )
    if precision == "float32":
      compiled, more = new_process.measured("whole", precision, False, True)
      print(
        f"--jit=on: {compiled:.2f} s, {compiled / step:.2f} x; {more:.0f} MB "
        f"of {memory:.0f} MB, {more / memory:.2f} x",
        flush=True,
      )
    again, less = new_process.measured("whole", precision, True)
    print(
      f"{precision}: --remat {again:.2f} s, {again / step:.2f} x; "
      f"{less:.0f} MB of {memory:.0f} MB, {less / memory:.2f} x",
      flush=True,
    )


if __name__ == "__main__":
  main()
