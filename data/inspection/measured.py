"""A data set as it is measured: a row an image, without pixels."""

from __future__ import annotations

import dataclasses
import io
import os
from typing import NamedTuple

import numpy as np
import pandas as pd
import tqdm
from PIL import Image

from data.images.worker_pool import WorkerPool
from data.inspection.image_measures import Measures, measure
from data.records import bag_records, dataset_json
from data.sources import record_check

_CHUNK = 16


class Place(NamedTuple):
  """Where an image lies: a record's bytes in a file, and a place in its bag."""

  path: str
  offset: int
  length: int
  index: int


@dataclasses.dataclass(frozen=True)
class Measured:
  """All images of a data set that could be read, in the order of the files.

  Attributes:
    description: `dataset_json.DatasetDescription`.
    images: a row an image: split, patient and bag (numbers that tell them
      apart), row (of the manifest), and what `Measures` has of one number.
    labels: (n,) int, -1 unknown; or float (n, classes), 1, 0, -1, NaN.
    metadata: a column of texts for each metadata column, '' where not stated.
    histograms: uint8 (n, 32).
    signatures: float32 (n, 255).
    places: n `Place`s.
    damage: a line each for what could not be read.
  """

  description: dataset_json.DatasetDescription
  images: pd.DataFrame
  labels: np.ndarray
  metadata: pd.DataFrame
  histograms: np.ndarray
  signatures: np.ndarray
  places: list[Place]
  damage: list[str]

  @property
  def findings(self):
    """Labels as floats (n, classes): 1, 0, -1 uncertain, NaN not known."""
    if self.labels.ndim > 1:
      return self.labels
    own = self.labels[:, None]
    classes = np.arange(len(self.description.class_names))
    return np.where(own < 0, np.nan, own == classes)


def read(data_dir: str | os.PathLike, workers: int) -> Measured:
  """Reads all records once, and measures each image.

  Args:
    data_dir: a folder that `data.build_tfrecords` wrote.
    workers: most processes to start.

  Raises:
    dataset_json.DatasetError: as `dataset_json.load`, or no image can be read.
  """
  description = dataset_json.load(data_dir)
  images = sum(split.images for split in description.splits.values())
  rows, measures, damage = [], [], []
  stream = _images(data_dir, description, damage)
  with (
    WorkerPool(workers, images) as pool,
    tqdm.tqdm(
      pool.ordered_map(measure, stream, _CHUNK),
      desc="Measuring images",
      total=images,
      unit=" images",
      leave=False,
    ) as results,
  ):
    for row, result in results:
      if result is None:
        damage.append(f"row {row[3]}: the image cannot be decoded")
      else:
        rows.append(row)
        measures.append(result)
  if not rows:
    raise dataset_json.DatasetError(
      f"Expected images in {os.fspath(data_dir)!r}. Received: none that can be "
      f"read. {'; '.join(damage[:3])}"
    )
  return _table(description, rows, measures, damage)


def _images(data_dir, description, damage):
  """Yields (facts, encoded image) of each image; appends to `damage`."""
  schema = _, columns = bag_records.schema(description)
  numbers = {}  # of patients and bags, by their pseudonyms

  def number(pseudonym):
    return numbers.setdefault(pseudonym, len(numbers))

  for split in sorted(description.splits):
    for path in dataset_json.shard_paths(data_dir, split, description):
      for record, bag in record_check.bags(path, *schema, decode=False):
        if bag is None:
          damage.append(f"{path.name}, record {record.number}: {record.damage}")
          continue
        bag = {name: value.numpy() for name, value in bag.items()}
        patient, own = number(bag["patient_id"]), number(("bag", bag["bag_id"]))
        labels = bag["labels" if "labels" in bag else "label"]
        place = os.fspath(path), record.offset, record.length
        for k, encoded in enumerate(bag["image"]):
          texts = [bag[f"metadata/{c}"][k].decode() for c in columns]
          facts = (split, patient, own, int(bag["row"][k]), labels[k], texts)
          yield (*facts, Place(*place, k)), encoded


def _table(description, rows, measures, damage):
  *facts, labels, texts, places = zip(*rows)
  *numbers, histograms, signatures = zip(*measures)
  names = ("split", "patient", "bag", "row", *Measures._fields[:-2])
  columns = bag_records.schema(description)[1]
  return Measured(
    description,
    pd.DataFrame(dict(zip(names, (*facts, *numbers)))),
    np.array(labels),
    pd.DataFrame(list(texts), columns=list(columns)),
    np.stack(histograms),
    np.stack(signatures),
    list(places),
    damage,
  )


def picture(place: Place, side: int) -> Image.Image:
  """Reads an image again, shrunk to `side` pixels."""
  with open(place.path, "rb") as file:
    file.seek(place.offset)
    bag = bag_records.parse_bag(file.read(place.length), None)
  with Image.open(io.BytesIO(bag["image"][place.index].numpy())) as image:
    image.draft(None, (side, side))
    small = image.convert("RGB")
  small.thumbnail((side, side))
  return small
