"""How fast a split is predicted, over the network's forward pass alone.

  python benchmarks/evaluation_rate.py

Images a second of `predict` from records, as --mode=eval asks for them (read,
decoded, cut, ResNet-50 at 224 pixels), beside those of the same network on as
many float images in memory. The two take turns; the median counts.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import tensorflow as tf

from benchmarks import input_rate, photographs
from benchmarks.serving_cost import CLASSES, OPTIONS
from benchmarks.small import sized
from data.batches.images import ImageBatches
from data.sources import bag_source
from data.views import geometry
from tf_micle.classifier.build import build_network

IMAGES, BATCH, SIZE = sized(256, 64), 32, sized(224, 128)
ROUNDS = sized(5, 3)


def main():
  """Prints a line."""
  views = geometry.ViewOptions(image_size=SIZE)
  model, _ = build_network(
    OPTIONS, task="multi_class", num_classes=len(CLASSES)
  )
  model.compile(tf.keras.optimizers.SGD())
  floats = tf.random.stateless_uniform((BATCH, SIZE, SIZE, 3), (0, 0))
  forward = tf.function(
    lambda: model.features_of(floats, training=False), autograph=False
  )
  with tempfile.TemporaryDirectory() as folder:
    encoded = photographs.jpegs(320, 256, IMAGES)
    records = input_rate.build(pathlib.Path(folder), encoded)
    source = bag_source.bag_tfrecords(os.fspath(records), "train")
    batches = ImageBatches(source, batch_size=BATCH, views=views, unit="image")
    data = batches.batches()

    def bare():
      for _ in range(IMAGES // BATCH):
        forward().numpy()

    calls = {"whole": lambda: model.predict(data, verbose=0), "bare": bare}
    times = {name: [] for name in calls}
    for _ in range(ROUNDS + 1):
      for name, call in calls.items():
        start = time.perf_counter()
        call()
        times[name].append(time.perf_counter() - start)
  rates = {
    name: IMAGES / statistics.median(own[1:]) for name, own in times.items()
  }
  print(
    f"predict: {rates['whole']:.1f} images/s, forward pass alone "
    f"{rates['bare']:.1f}, {rates['whole'] / rates['bare']:.2f} x"
  )


if __name__ == "__main__":
  main()
