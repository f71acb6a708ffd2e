"""Memory and time of a step in micro-batches, as ratios.

  python benchmarks/micro_batches.py

Peak memory of a process that takes a step of 1,024 pairs in micro-batches, over
that of one that takes a step of one micro-batch; and time an image over the
plain step's, at a batch that fits. Each case is a process of its own.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import sys
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import new_process
from benchmarks.small import sized

DEPTH, SIZE, MICRO = 50, 96, 16
LARGE, FITS = sized(1024, 64), sized(64, 32)
REPEATS = 3


def measure(batch, micro, repeats):
  """Returns seconds a step and the peak memory of this process in MB."""
  import numpy as np
  import tensorflow as tf

  from tf_micle.contrastive.build import build_contrastive_model
  from tf_micle.options import PretrainOptions

  options = PretrainOptions(
    resnet_depth=DEPTH,
    width_multiplier=1.0,
    sk_ratio=0.0,
    image_size=SIZE,
    batch_norm_decay=0.9,
    proj_head_mode="nonlinear",
    proj_out_dim=128,
    num_proj_layers=2,
    color_jitter_strength=1.0,
    use_blur=True,
    optimizer="lars",
    learning_rate=0.1,
    learning_rate_scaling="none",
    warmup_epochs=0.0,
    momentum=0.9,
    weight_decay=1e-4,
    train_batch_size=batch,
    precision="float32",
    remat=False,
    seed=0,
    temperature=0.1,
    hidden_norm=True,
    micro_batch_size=micro,
  )
  model, _ = build_contrastive_model(
    options, steps_per_epoch=10, train_steps=10
  )
  draw = np.random.default_rng(0)
  shape = (batch, 2, SIZE, SIZE, 3)
  views = tf.constant(draw.integers(0, 256, shape, np.uint8))
  step = tf.function(model.train_step, autograph=False)
  times = []
  for _ in range(repeats + 1):
    start = time.perf_counter()
    step({"views": views})["loss"].numpy()
    times.append(time.perf_counter() - start)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  # The first one traced; where it is the only one, its time tells nothing.
  return {
    "seconds": sorted(times[1:])[repeats // 2] if repeats else None,
    "peak": peak,
  }


def main():
  """Prints the two ratios and what they are ratios of."""
  if len(sys.argv) > 1:
    print(json.dumps(measure(*json.loads(sys.argv[1]))))
    return
  small = new_process.measured(MICRO, None, 1)
  large = new_process.measured(LARGE, MICRO, 0)
  print(
    f"memory: {LARGE} pairs in micro-batches of {MICRO}: "
    f"{large['peak']:.0f} MB; a batch of {MICRO}: {small['peak']:.0f} MB; "
    f"{large['peak'] / small['peak']:.2f} x"
  )
  plain = new_process.measured(FITS, None, REPEATS)
  parts = new_process.measured(FITS, MICRO, REPEATS)
  print(
    f"time: {FITS} pairs in micro-batches of {MICRO}: "
    f"{parts['seconds']:.2f} s, {parts['peak']:.0f} MB; "
    f"at once: {plain['seconds']:.2f} s, {plain['peak']:.0f} MB; "
    f"{parts['seconds'] / plain['seconds']:.2f} x"
  )


if __name__ == "__main__":
  main()
