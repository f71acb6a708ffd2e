"""What augmentations on the host cost: time a view, over that of crops alone.

  python benchmarks/augmentation_cost.py

Two views of 224 pixels of a JPEG of 512 x 384, on one thread; the cases take
turns, the median round counts.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import tensorflow as tf

from benchmarks import photographs
from data.views import geometry

CASES = {
  "crop, flip": {},
  "vertical flip": {"vertical_flip": True},
  "rotation of 45 degrees": {"rotation_degrees": 45.0},
  "equalisation": {"equalize": True},
  "elastic deformation": {"elastic": True},
  "cxr_remedis": {"rotation_degrees": 45.0, "equalize": True, "elastic": True},
}
IMAGES, ROUNDS = 40, 5


def main():
  """Prints a line a case."""
  tf.config.threading.set_intra_op_parallelism_threads(1)
  encoded = photographs.jpegs(512, 384, IMAGES)
  functions, times = {}, {name: [] for name in CASES}
  for name, case in CASES.items():
    options = geometry.ViewOptions(224, **case)
    functions[name] = tf.function(
      lambda image, seed, o=options: geometry.random_views(
        image, seed, o, count=2
      ),
      input_signature=[
        tf.TensorSpec((), tf.string),
        tf.TensorSpec((2,), tf.int64),
      ],
    )
    functions[name](encoded[0], tf.constant((0, 0), tf.int64))
  for _ in range(ROUNDS):
    for name, function in functions.items():
      start = time.process_time()
      for k, image in enumerate(encoded):
        function(image, tf.constant((0, k), tf.int64))
      times[name].append((time.process_time() - start) / IMAGES)
  plain = statistics.median(times["crop, flip"])
  for name, own in times.items():
    cost = statistics.median(own)
    print(f"{name:24} {1000 * cost:6.2f} ms a pair, {cost / plain:5.2f} times")


if __name__ == "__main__":
  main()
