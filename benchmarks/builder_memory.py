"""Whether the builder's memory grows with the number of images.

  python benchmarks/builder_memory.py

Builds sets of 1,000 and of 50,000 JPEGs (hard links to a few files) with
`python -m data.build_tfrecords` and prints the peak memory of all its processes
together, as a ratio of the first, and the images a second.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
COUNTS = (1000, 50000)
SIDE, DISTINCT, IMAGES_A_PATIENT = 560, 20, 4


def write_images(folder, count):
  """Writes `count` JPEGs, smooth noise of SIDE pixels, and a manifest."""
  rng = np.random.default_rng(0)
  for k in range(DISTINCT):
    coarse = rng.integers(0, 256, (40, 40, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.BICUBIC)
    picture.save(folder / f"{k}.jpg", quality=90)
  rows = ["image,patient_id"]
  for k in range(DISTINCT, count):
    os.link(folder / f"{k % DISTINCT}.jpg", folder / f"{k}.jpg")
  rows += [f"{k}.jpg,p{k // IMAGES_A_PATIENT}" for k in range(count)]
  (folder / "manifest.csv").write_text("\n".join(rows) + "\n")


def build(folder):
  """Returns the builder's peak memory in MB and its seconds."""
  command = [
    *(sys.executable, "-m", "data.build_tfrecords"),
    f"--manifest={folder / 'manifest.csv'}",
    f"--image_root={folder}",
    f"--output_dir={folder.parent / 'records'}",
  ]
  start, peak = time.perf_counter(), 0
  quiet = subprocess.DEVNULL
  with subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet) as job:
    while job.poll() is None:
      peak = max(peak, memory(psutil.Process(job.pid)))
      time.sleep(0.1)
  if job.returncode:
    raise RuntimeError(f"the builder ended with status {job.returncode}")
  return peak / 2**20, time.perf_counter() - start


def memory(process):
  """Bytes that a process and those it started hold for themselves."""
  total = 0
  for one in [process, *process.children(recursive=True)]:
    try:
      total += one.memory_full_info().uss
    except psutil.NoSuchProcess:
      continue
  return total


def main():
  """Prints a line a set."""
  base = None
  for count in COUNTS:
    with tempfile.TemporaryDirectory() as name:
      folder = pathlib.Path(name) / "images"
      folder.mkdir()
      write_images(folder, count)
      peak, seconds = build(folder)
    base = base or peak
    print(
      f"{count} images: {peak:.0f} MB, {peak / base:.2f} x the first; "
      f"{count / seconds:.0f} images/s",
      flush=True,
    )


if __name__ == "__main__":
  main()
