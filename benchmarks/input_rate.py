"""How fast views are cut, over how fast their images are decoded at best.

  python benchmarks/input_rate.py

Builds data sets of JPEGs with `python -m data.build_tfrecords` and reads them
as pretraining does: two views of 224 pixels of an image (SimCLR), and a view of
each of two images of a patient (MICLe). Prints decoded images a second beside
those of plain decoding, which is `tf.io.decode_jpeg` of the same images in
memory and nothing else. The cases take turns; the median round counts.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import tensorflow as tf

from benchmarks import photographs
from benchmarks.small import sized
from data.batches.item_stream import BatchOptions
from data.batches.pairs import PairBatches
from data.sources import bag_source
from data.views import geometry

ROOT = pathlib.Path(__file__).parent.parent
SIZES = [(1024, 768), *sized([(512, 384)], []), (320, 256)]
PATIENTS, IMAGES_A_PATIENT = 128, 2
VIEW, BATCH, WARM_UP = 224, 32, 4
BATCHES, ROUNDS = sized(12, 6), sized(7, 3)


def build(folder, encoded):
  """Writes images, a manifest and a data set; returns the data set's folder."""
  rows = ["image,patient_id"]
  for k, image in enumerate(encoded):
    (folder / f"{k}.jpg").write_bytes(image)
    rows.append(f"{k}.jpg,p{k // IMAGES_A_PATIENT}")
  (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
  command = [
    *(sys.executable, "-m", "data.build_tfrecords"),
    f"--manifest={folder / 'manifest.csv'}",
    f"--image_root={folder}",
    f"--output_dir={folder / 'records'}",
    "--split_fractions=train=1.0",
    f"--max_side={max(max(size) for size in SIZES)}",
  ]
  subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
  return folder / "records"


def plain(encoded):
  """Returns batches of a pixel of each decoded image."""
  images = tf.data.Dataset.from_tensor_slices(encoded).cache().repeat()
  images = images.map(
    lambda image: tf.io.decode_jpeg(image, 3)[0, 0],
    tf.data.AUTOTUNE,
    deterministic=True,
  )
  return images.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def pairs(source, method, *, use_micle):
  """Returns the batches that pretraining sees."""
  options = BatchOptions(
    batch_size=BATCH,
    views=geometry.ViewOptions(image_size=VIEW, resize_method=method),
    seed=0,
  )
  return PairBatches(source, options, use_micle=use_micle).batches()


def rate(batches):
  """Returns batches a second."""
  batches = iter(batches)
  for _ in range(WARM_UP):
    next(batches)
  start = time.perf_counter()
  for _ in range(BATCHES):
    next(batches)
  return BATCHES / (time.perf_counter() - start)


def measure(width, height):
  """Prints a line a case, for images of one size."""
  encoded = photographs.jpegs(width, height, PATIENTS * IMAGES_A_PATIENT)
  with tempfile.TemporaryDirectory() as folder:
    records = build(pathlib.Path(folder), encoded)
    source = bag_source.bag_tfrecords(os.fspath(records), "train")
    # Each with the images that are decoded for an item of a batch.
    cases = {"plain decoding": (plain(encoded), 1)}
    for method in geometry.RESIZE_METHODS:
      for use_micle in (False, True):
        name = (
          f"{method}, {'two images of a bag' if use_micle else 'one image'}"
        )
        batches = pairs(source, method, use_micle=use_micle)
        cases[name] = batches, 2 if use_micle else 1
    rates = {name: [] for name in cases}
    for _ in range(ROUNDS):
      for name, (batches, decoded) in cases.items():
        rates[name].append(rate(batches) * BATCH * decoded)
  base = rates["plain decoding"]
  for name, own in rates.items():
    ratio = statistics.median(a / b for a, b in zip(own, base))
    print(
      f"{width} x {height}, {name}: {statistics.median(own):.0f} images/s, "
      f"{ratio:.2f} x",
      flush=True,
    )


if __name__ == "__main__":
  for size in SIZES:
    measure(*size)
