"""A site with images and a manifest, for tests of the builder's command."""

from __future__ import annotations

import csv

import tensorflow as tf
from PIL import Image

from data.build_tfrecords import main
from data.records import bag_records, dataset_json


def write_images(folder, names):
  for i, name in enumerate(names):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), (i % 256, 20, 30)).save(path)


class Site:
  """A folder with images and a manifest, and the command run on it."""

  def __init__(self, root):
    self.root = root
    self.images = root / "secret-images"
    self.output = root / "out"
    self.images.mkdir(exist_ok=True)

  def write(self, header, *rows, images=True):
    """Writes the manifest, and an image for each first cell."""
    with open(self.root / "manifest.csv", "w", newline="") as file:
      csv.writer(file).writerows([header.split(","), *rows])
    if images:
      write_images(self.images, [row[0] for row in rows])

  def flags(self, **flags):
    given = {
      "manifest": self.root / "manifest.csv",
      "image_root": self.images,
      "output_dir": self.output,
      "workers": 1,
      **flags,
    }
    return [f"--{name}={value}" for name, value in given.items()]

  def run(self, **flags):
    return main(["build_tfrecords", *self.flags(**flags)])

  def bags(self, split, num_labels=None):
    paths = map(str, dataset_json.shard_paths(self.output, split))
    records = tf.data.TFRecordDataset(list(paths))
    records = records.map(lambda r: bag_records.parse_bag(r, num_labels))
    return list(records.as_numpy_iterator())

  def bytes_written(self):
    files = sorted(self.output.rglob("*"))
    return {f.name: f.read_bytes() for f in files}


def patients(count, images=2, label="label"):
  return [
    [f"folder{p}/secret{p}-{i}.png", f"SECRET{p}", f"{label}{p % 2}"]
    for p in range(count)
    for i in range(images)
  ]
