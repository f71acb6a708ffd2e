"""What decoding costs by format and by the JPEG decoder's options, as ratios.

  python benchmarks/image_formats.py

Processor time, the cases in turn, the median round: two random views of 224
pixels of an image in a record, by the format that it is stored in; and the
whole JPEG decoded by the faster arithmetic (`fast`: INTEGER_FAST, no fancy
upsampling), at full size and at a half and a quarter of it.
"""

from __future__ import annotations

import io
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import tensorflow as tf
from PIL import Image

from benchmarks import photographs
from benchmarks.small import sized
from data.views import geometry

SIZES = [(1024, 768), (320, 256)]
IMAGES, ROUNDS = 6, sized(9, 4)
FORMATS = {
  "PNG": {"format": "PNG"},
  "PNG, least compressed": {"format": "PNG", "compress_level": 1},
  "PNG, not compressed": {"format": "PNG", "compress_level": 0},
  "BMP": {"format": "BMP"},
}
FAST = {"dct_method": "INTEGER_FAST", "fancy_upscaling": False}
DECODERS = {
  "JPEG decoded": {},
  "fast": FAST,
  "fast, a half": {**FAST, "ratio": 2},
  "fast, a quarter": {**FAST, "ratio": 4},
}


def stored(pixels, options):
  """Returns an image as the bytes of a file."""
  file = io.BytesIO()
  pixels.save(file, **options)
  return file.getvalue()


@tf.function(
  input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((2,), tf.int64)],
  autograph=False,
)
def two_views(encoded, seed):
  """Cuts what pretraining cuts."""
  options = geometry.ViewOptions(224)
  return geometry.random_views(encoded, seed, options, count=2)


def main():
  """Prints a line a case."""
  tf.config.threading.set_intra_op_parallelism_threads(1)
  for size in SIZES:
    jpegs = photographs.jpegs(*size, IMAGES)
    pixels = [Image.open(io.BytesIO(one)) for one in jpegs]
    files = {"JPEG": jpegs}
    for name, options in FORMATS.items():
      files[name] = [stored(one, options) for one in pixels]
    cases = {name: (two_views, own) for name, own in files.items()}
    for name, options in DECODERS.items():
      cases[name] = (
        lambda image, seed, o=options: tf.io.decode_jpeg(image, 3, **o),
        jpegs,
      )
    times = {name: [] for name in cases}
    for _ in range(ROUNDS + 1):
      for name, (call, own) in cases.items():
        start = time.process_time()
        for k, image in enumerate(own):
          call(image, tf.constant((0, k), tf.int64))
        times[name].append((time.process_time() - start) / IMAGES)
    medians = {name: statistics.median(own[1:]) for name, own in times.items()}
    for name, took in medians.items():
      base = medians["JPEG" if name in files else "JPEG decoded"]
      print(
        f"{size[0]} x {size[1]}, {name}: {1000 * took:.2f} ms, "
        f"{took / base:.2f} x; {sum(map(len, cases[name][1])) // 1000} kB",
        flush=True,
      )


if __name__ == "__main__":
  main()
