"""The builder's rate, as a share of that of decoding, shrinking and coding.

  python benchmarks/builder_rate.py

JPEG photographs of 1024 x 768 are shrunk to 512 pixels, by a bare loop with
Pillow (open, draft, resize, save: the calls that the builder makes of an image
and no others) and by `python -m data.build_tfrecords`, on one core and on all.
The builder's rate is that of the images that a larger set has more than a
smaller one, so its start-up is told apart. Medians over alternating rounds.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

from PIL import Image

from benchmarks import photographs

ROOT = pathlib.Path(__file__).parent.parent
SIZE, MAX_SIDE, QUALITY, GAP = (1024, 768), 512, 95, 3.0
FEW, MANY, DISTINCT, IMAGES_A_PATIENT, ROUNDS = 320, 1920, 32, 4, 3
CHUNK = 8


def convert(path):
  """Decodes, shrinks and codes an image; returns the JPEG's length."""
  with Image.open(path) as image:
    scale = MAX_SIDE / max(image.size)
    size = tuple(round(side * scale) for side in image.size)
    _, box = image.draft(None, tuple(int(side * GAP) for side in size))
    small = image.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=GAP)
  buffer = io.BytesIO()
  small.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
  return len(buffer.getvalue())


def bare_rate(paths, processes):
  """Images a second of the bare loop in so many processes."""
  if processes == 1:
    start = time.perf_counter()
    for path in paths:
      convert(path)
    return len(paths) / (time.perf_counter() - start)
  with multiprocessing.get_context("spawn").Pool(processes) as pool:
    pool.map(convert, paths[: processes * CHUNK], chunksize=CHUNK)  # Starts.
    start = time.perf_counter()
    for _ in pool.imap(convert, paths, chunksize=CHUNK):
      pass
    return len(paths) / (time.perf_counter() - start)


def build_seconds(folder, count, workers):
  """Seconds of the builder for the first `count` images."""
  rows = [f"{k}.jpg,p{k // IMAGES_A_PATIENT}" for k in range(count)]
  manifest = folder / f"{count}.csv"
  manifest.write_text("\n".join(["image,patient_id", *rows]) + "\n")
  with tempfile.TemporaryDirectory(dir=folder) as output:
    command = [
      *(sys.executable, "-m", "data.build_tfrecords"),
      f"--manifest={manifest}",
      f"--image_root={folder}",
      f"--output_dir={output}/records",
      f"--max_side={MAX_SIDE}",
      f"--workers={workers}",
    ]
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def main():
  """Prints a line for one core and one for all."""
  cores = len(os.sched_getaffinity(0))
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    for k, encoded in enumerate(photographs.jpegs(*SIZE, DISTINCT)):
      (folder / f"{k}.jpg").write_bytes(encoded)
    for k in range(DISTINCT, MANY):
      os.link(folder / f"{k % DISTINCT}.jpg", folder / f"{k}.jpg")
    paths = [folder / f"{k}.jpg" for k in range(MANY - FEW)]
    for processes in sorted({1, cores}):
      bare, few, many = [], [], []
      for _ in range(ROUNDS):
        bare.append(bare_rate(paths, processes))
        few.append(build_seconds(folder, FEW, processes))
        many.append(build_seconds(folder, MANY, processes))
      alone = statistics.median(bare)
      short, long = statistics.median(few), statistics.median(many)
      rate = (MANY - FEW) / (long - short)
      print(
        f"{processes} workers: builder {rate:.0f} images/s, bare loop "
        f"{alone:.0f} images/s, {rate / alone:.2f} x; start-up and end "
        f"{short - FEW / rate:.1f} s",
        flush=True,
      )


if __name__ == "__main__":
  main()
