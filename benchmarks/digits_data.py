r"""Scikit-learn's digits as bags: real images on which a study takes minutes.

  python benchmarks/digits_data.py --output_dir=RECORDS
      bag TFRecords in RECORDS, images and manifest.csv in RECORDS-images
  python run.py --flagfile=benchmarks/digits.flags --data_dir=RECORDS \
      --model_dir=RUN

1,797 handwritten digits of 8 x 8 pixels (UCI's optical recognition data, the
part that scikit-learn carries). A "patient" is a bag of 2 to 6 images of one
digit, the label. Which writer drew an image is not known, so bags and splits
are drawn over all of them.
"""

from __future__ import annotations

import csv
import os
import pathlib
import sys

import numpy as np
from absl import app, flags

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

MANIFEST_COLUMNS = ("image", "patient_id", "label", "split")
SPLIT_FRACTIONS = {"train": 0.6, "validation": 0.15, "test": 0.25}
BAG_SIZES = range(2, 7)
PNG_SIDE = 32
_BRIGHTEST = 16  # load_digits counts the inked ones of 4 x 4 pixels.


def write_digits(output_dir: str | os.PathLike, seed: int = 0) -> str:
  """Writes the digits as PNGs and, last, their manifest.

  Every image is in one bag. Each digit's bags are split by SPLIT_FRACTIONS.

  Args:
    output_dir: Folder to write `images/*.png` and `manifest.csv` in; the
      manifest's `image` column is relative to it. Made if missing.
    seed: A whole number from 0; draws the bags and the splits.

  Returns:
    The manifest's path.

  Raises:
    FileExistsError: There is a manifest already.
  """
  from sklearn import datasets

  output_dir = pathlib.Path(output_dir)
  manifest = output_dir / "manifest.csv"
  if manifest.exists():
    raise FileExistsError(f"Expected no manifest yet. Found: {manifest}")
  (output_dir / "images").mkdir(parents=True, exist_ok=True)
  digits = datasets.load_digits()
  rng = np.random.default_rng(seed)
  rows = []
  for digit in range(10):
    bags = _draw_bags(np.flatnonzero(digits.target == digit), rng)
    for i, (bag, split) in enumerate(zip(bags, _splits(len(bags)))):
      for image in bag:
        name = f"images/{image:04d}.png"
        _png(digits.images[image]).save(output_dir / name)
        rows.append([name, f"digit{digit}-{i:03d}", digit, split])
  with open(manifest, "w", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([MANIFEST_COLUMNS, *rows])
  return os.fspath(manifest)


def digits_records(output_dir: str | os.PathLike, seed: int = 0) -> str:
  """Makes the digits' images and, from them, their bag TFRecords, once.

  Args:
    output_dir: Folder of the records; the images are made beside it. What is
      there already is left as it is.
    seed: As for `write_digits`.

  Returns:
    The folder of the records.
  """
  from data.builder import build
  from data.manifest import pseudonyms

  records, images = os.fspath(output_dir), f"{output_dir}-images"
  manifest = os.path.join(images, "manifest.csv")
  if not os.path.exists(records):
    if not os.path.exists(manifest):
      write_digits(images, seed)
    options = build.BuildOptions(manifest, images, records)
    # The patients are invented. By one key each build draws the same labels.
    options.key_path.unlink(missing_ok=True)
    pseudonyms.write_key(options.key_path, bytes(32))
    build.build(options)
  return records


def _draw_bags(images, rng):
  """Cuts shuffled images into bags, uniform in size but for the last ones."""
  images = rng.permutation(images)
  bags = []
  while len(images):
    # No size that leaves a lone image.
    fits = [n for n in BAG_SIZES if n <= len(images) and len(images) - n != 1]
    bag, images = np.split(images, [rng.choice(fits)])
    bags.append(bag)
  return bags


def _splits(num_bags):
  """Returns the split of each of a digit's bags, which are in random order."""
  ends = np.round(np.cumsum(list(SPLIT_FRACTIONS.values())) * num_bags)
  return np.repeat(list(SPLIT_FRACTIONS), np.diff(ends, prepend=0).astype(int))


def _png(image):
  """Returns (8, 8) counts from 0 to 16 as a gray image of PNG_SIDE pixels."""
  from PIL import Image

  pixels = np.round(image * (255 / _BRIGHTEST)).astype(np.uint8)
  size = (PNG_SIDE, PNG_SIDE)
  return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def main(argv):
  """Makes the records and prints what each split holds."""
  del argv
  from data.records import dataset_json

  records = digits_records(flags.FLAGS.output_dir)
  for name, split in dataset_json.load(records).splits.items():
    print(f"{name}: {split.patients} patients, {split.images} images")


if __name__ == "__main__":
  flags.DEFINE_string("output_dir", None, "Folder of records.", required=True)
  app.run(main)
