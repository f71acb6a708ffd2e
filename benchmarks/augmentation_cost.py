"""What augmentations on the host cost: time a view, over that of crops alone.

  python benchmarks/augmentation_cost.py

Two views of 224 pixels of a JPEG, on one thread; the cases take turns, the
median round counts. Then how far rotated crops are from the same rotation at 4
times the resolution, averaged, by their resampling.
"""

from __future__ import annotations

import io
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks import photographs
from data.views import geometry, warp

CASES = {
  "crop, flip": {},
  "vertical flip": {"vertical_flip": True},
  "rotation of 45 degrees": {"rotation_degrees": 45.0},
  "equalisation": {"equalize": True},
  "elastic deformation": {"elastic": True},
  "cxr_remedis": {"rotation_degrees": 45.0, "equalize": True, "elastic": True},
}
IMAGES, ROUNDS, SIZE, FINER = 40, 5, 224, 4


def cost(encoded, method):
  """Prints a line a case."""
  functions, times = {}, {name: [] for name in CASES}
  for name, case in CASES.items():
    options = geometry.ViewOptions(SIZE, resize_method=method, **case)
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
    pair = statistics.median(own)
    print(
      f"{method}, {name}: {1000 * pair:.2f} ms a pair, {pair / plain:.2f} x",
      flush=True,
    )


def errors(encoded):
  """Prints how wrong turned crops are, in grey levels, a line a resampling."""
  squares = {name: [] for name in (*geometry.RESIZE_METHODS, "at once")}
  middle = slice(SIZE // 6, -(SIZE // 6))  # Inside, whatever the angle.
  draw = np.random.default_rng(0)
  for image in encoded:
    picture = Image.open(io.BytesIO(image))
    side, angle = int(draw.integers(130, 380)), np.float32(draw.uniform(0, 0.7))
    crop = picture.crop((0, 0, side, side))
    finer = crop.resize((FINER * side, FINER * side), Image.BICUBIC)
    truth = warp.sample(np.array(finer), FINER * SIZE, angle).numpy()
    truth = truth.reshape(SIZE, FINER, SIZE, FINER, 3).mean((1, 3))
    for name, own in squares.items():
      if name == "at once":
        view = warp.sample(np.array(crop), SIZE, angle)
      else:
        view = tf.image.resize(np.array(crop), (SIZE, SIZE), name)
        view = tf.saturate_cast(tf.round(view), tf.uint8)
        view = warp.rotate_without_addons(view, angle, "bilinear")
      own.append(np.mean((view.numpy() - truth)[middle, middle] ** 2))
  for name, own in squares.items():
    then = "" if name == "at once" else ", then turned"
    print(f"resized {name}{then}: {np.sqrt(np.mean(own)):.2f} levels of error")


def main():
  """Measures small and large JPEGs by both methods, then errors."""
  tf.config.threading.set_intra_op_parallelism_threads(1)
  for size in [(512, 384), (1024, 768)]:
    encoded = photographs.jpegs(*size, IMAGES)
    print(f"{size[0]} x {size[1]}")
    for method in geometry.RESIZE_METHODS:
      cost(encoded, method)
  errors(photographs.jpegs(512, 384, IMAGES))


if __name__ == "__main__":
  main()
