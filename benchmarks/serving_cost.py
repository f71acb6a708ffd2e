"""What a served batch costs, as a ratio to bare decoding and forward pass.

  python benchmarks/serving_cost.py

A ResNet-50 classifier at 224 pixels is saved and loaded as a server does it.
Asked with 64 images, JPEGs and PNGs in turn, of mixed sizes; compared with
decoding the same bytes plus the network alone on 64 float images. Medians; the
three are timed in turn.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import numpy as np
import tensorflow as tf

from benchmarks.small import sized
from data.images.decode import decode
from data.views import encoded_image, geometry
from tf_micle.classifier.build import build_network
from tf_micle.loading.opened import OpenedRun, RunNetwork
from tf_micle.options import FinetuneOptions
from tf_micle.serving import saved_model

BATCH, SIZE, REPEATS = sized(64, 16), 224, sized(7, 3)
MAX_SIDE = 512
CLASSES = ("a", "b", "c", "d", "e", "f")
# Widths and heights, in turn: up to max_side, and larger ones that are shrunk.
SIZES = {
  "up to 512 px": [(320, 256), (512, 384), (400, 400), (256, 320)],
  "1024 x 768 px": [(1024, 768)],
}
OPTIONS = FinetuneOptions(
  resnet_depth=50,
  width_multiplier=1.0,
  sk_ratio=0.0,
  image_size=SIZE,
  batch_norm_decay=0.9,
  proj_head_mode="nonlinear",
  proj_out_dim=128,
  num_proj_layers=2,
  color_jitter_strength=0.0,
  use_blur=False,
  optimizer="momentum",
  learning_rate=0.1,
  learning_rate_scaling="none",
  warmup_epochs=0.0,
  momentum=0.9,
  weight_decay=0.0,
  train_batch_size=BATCH,
  precision="float32",
  remat=False,
  seed=0,
  ft_proj_selector=0,
  fine_tune_after_block=-1,
  zero_init_logits_layer=False,
  unit="image",
  bag_pooling="attention",
  uncertain="ignore",
  class_weights="none",
  focal_gamma=0.0,
)


def served(folder):
  """Saves a classifier with initial weights into `folder`, and loads it."""
  classifier, _ = build_network(
    OPTIONS, task="multi_class", num_classes=len(CLASSES)
  )
  run = OpenedRun(folder, {}, OPTIONS, "multi_class", CLASSES, ())
  network = RunNetwork(run, classifier.encoder, classifier, checkpoint="")
  views = geometry.ViewOptions(image_size=SIZE)
  model = saved_model.ServedModel(
    network,
    to_views=lambda e: encoded_image.to_views(e, views, MAX_SIDE),
    image_size=SIZE,
  )
  tf.saved_model.save(model.root, folder, signatures=model.signatures)
  return tf.saved_model.load(folder)


def images(sizes):
  """Returns a batch of encoded images of these sizes in turn, string (64,)."""
  draw = np.random.default_rng(0)
  found = []
  for place in range(BATCH):
    width, height = sizes[place % len(sizes)]
    coarse = draw.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    pixels = tf.image.resize(coarse, (height, width), "bicubic")
    pixels += draw.normal(0, 4, pixels.shape)
    pixels = tf.saturate_cast(pixels, tf.uint8)
    encode = (tf.io.encode_jpeg, tf.io.encode_png)[place // 4 % 2]
    found.append(encode(pixels).numpy())
  return tf.constant(found)


@tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
def decode_batch(encoded):
  """Decodes a batch, and keeps nothing but a number of each image."""

  def one(image):
    return tf.size(decode(image))

  return tf.map_fn(
    one, encoded, fn_output_signature=tf.int32, parallel_iterations=64
  )


def seconds(calls):
  """Returns the median time of each call, taken in turn."""
  times = [[] for _ in calls]
  for _ in range(REPEATS + 1):
    for call, taken in zip(calls, times):
      start = time.perf_counter()
      tf.nest.map_structure(lambda tensor: tensor.numpy(), call())
      taken.append(time.perf_counter() - start)
  return [statistics.median(taken[1:]) for taken in times]


def main():
  """Prints a line for each sort of batch."""
  with tempfile.TemporaryDirectory() as folder:
    model = served(folder)
    floats = tf.random.stateless_uniform((BATCH, SIZE, SIZE, 3), (0, 0))
    for name, sizes in SIZES.items():
      batch = images(sizes)
      whole, decoding, forward = seconds(
        [
          lambda: model.signatures["serving_default"](images=batch),  # noqa: B023
          lambda: decode_batch(batch),  # noqa: B023
          lambda: model(floats),
        ]
      )
      print(
        f"{name}: served {whole:.3f} s; decoding {decoding:.3f} s + forward "
        f"{forward:.3f} s; {whole / (decoding + forward):.2f} x"
      )


if __name__ == "__main__":
  main()
