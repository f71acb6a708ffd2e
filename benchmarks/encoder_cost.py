"""What a step of the encoder costs at small image sizes, as a ratio.

  python benchmarks/encoder_cost.py

Forward and backward of the demo's encoder (ResNet-18, a quarter as wide) on 128
views, the median of some runs. Prints each beside the first.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import tensorflow as tf

from tf_micle.encoder import resnet

VIEWS, REPEATS = 128, 9
# Image size, and whether the stem is SimCLR's small one.
CASES = [(32, False), (32, True), (48, False), (64, False)]


def seconds(encoder, images, repeats):
  """Returns the median time of an encoder's forward and backward pass."""

  @tf.function(autograph=False)
  def step():
    with tf.GradientTape() as tape:
      features = encoder(images, training=True)["final_avg_pool"]
      loss = tf.reduce_sum(features)
    return tape.gradient(loss, encoder.trainable_variables)

  times = []
  for _ in range(repeats + 1):
    start = time.perf_counter()
    step()[0].numpy()
    times.append(time.perf_counter() - start)
  return statistics.median(times[1:])  # The first one traced.


def main():
  """Prints a line a case."""
  base = None
  for size, small_stem in CASES:
    encoder = resnet.resnet(
      depth=18, width_multiplier=0.25, small_stem=small_stem
    )
    images = tf.random.stateless_uniform((VIEWS, size, size, 3), (0, 0))
    took = seconds(encoder, images, REPEATS)
    base = base or took
    stem = "small" if small_stem else "large"
    print(f"{size} px, {stem} stem: {took:.3f} s, {took / base:.1f} x")


if __name__ == "__main__":
  main()
