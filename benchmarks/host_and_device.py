"""Which encoders a host of 16 cores keeps busy, from its rate a core.

  python benchmarks/host_and_device.py VIEWS_A_SECOND_A_CORE [CORES]

The first number is what `benchmarks/input_rate.py` measures: views a second,
over the cores that made them. Prints for each encoder the operations of a view
in training (forward counted by TensorFlow's profiler at 224 pixels, times 3)
and the sustained speed of a device up to which the host keeps it busy. A
device that is faster waits for the host.
"""

from __future__ import annotations

import os
import pathlib
import sys

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import tensorflow as tf

from tf_micle.encoder import resnet

SIZE = 224
ENCODERS = [(18, 1), (50, 1), (50, 2), (50, 4), (152, 1), (152, 2)]


def training_gflop(depth, width):
  """Returns the 10^9 operations of a view's forward and backward pass."""
  encoder = resnet.resnet(depth=depth, width_multiplier=width)
  images = tf.TensorSpec((1, SIZE, SIZE, 3))
  forward = tf.function(lambda x: encoder(x)["final_avg_pool"], autograph=False)
  graph = forward.get_concrete_function(images).graph
  options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
  options["output"] = "none"
  found = tf.compat.v1.profiler.profile(graph, options=options)
  return 3 * found.total_float_ops / 1e9


def main():
  """Prints a line an encoder."""
  per_core = float(sys.argv[1])
  cores = int(sys.argv[2]) if len(sys.argv) > 2 else 16
  views = per_core * cores
  print(f"{cores} cores: {views:.0f} views/s")
  for depth, width in ENCODERS:
    gflop = training_gflop(depth, width)
    print(
      f"ResNet-{depth} ({width}x): {gflop:.1f} GFLOP a view, busy up to "
      f"{views * gflop / 1000:.0f} TFLOP/s"
    )


if __name__ == "__main__":
  main()
