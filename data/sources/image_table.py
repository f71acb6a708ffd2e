"""Table of a split's images: ids, labels and metadata, without pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class ImageTable:
  """A row an image, in the order in which `images.ImageBatches` has them.

  Attributes:
    patient_id: (n,) str, pseudonyms.
    bag_id: (n,) str, pseudonyms.
    shard: (n,) int64, numbers of the files.
    row: (n,) int64, rows of the manifest.
    labels: int64 (n,), -1 unknown; or float32 (n, classes), 1, 0, -1 uncertain,
      NaN not stated.
    metadata: column to (n,) str, '' where not stated.
  """

  patient_id: np.ndarray
  bag_id: np.ndarray
  shard: np.ndarray
  row: np.ndarray
  labels: np.ndarray
  metadata: dict[str, np.ndarray]

  def where(self, mask):
    """Returns the rows where `mask`, bool (n,), is true."""
    return ImageTable(
      self.patient_id[mask],
      self.bag_id[mask],
      self.shard[mask],
      self.row[mask],
      self.labels[mask],
      {name: values[mask] for name, values in self.metadata.items()},
    )


def read(source):
  """Reads a `BagSource` once; returns its `ImageTable`."""
  multi_label = source.task == "multi_label"
  key = source.label_key
  columns = {name: f"metadata/{name}" for name in source.metadata_columns}
  kept = ("patient_id", "bag_id", "shard", "row", key, *columns.values())

  def facts(bag):
    return {name: bag[name] for name in kept}

  bags = source.read(tf.constant(0, tf.int64)).map(facts)
  parts = {name: [] for name in kept}
  for bag in bags.as_numpy_iterator():
    images = len(bag["row"])
    for name in ("patient_id", "bag_id"):
      parts[name].append(np.repeat(_text(bag[name]), images))
    parts["shard"].append(np.repeat(bag["shard"], images))
    for name in ("row", key):
      parts[name].append(bag[name])
    for name in columns.values():
      parts[name].append([_text(value) for value in bag[name]])
  shapes = {key: (0, len(source.class_names))[: 1 + multi_label]}
  table = {
    name: np.concatenate(values) if values else np.empty(shapes.get(name, 0))
    for name, values in parts.items()
  }
  return ImageTable(
    patient_id=table["patient_id"],
    bag_id=table["bag_id"],
    shard=table["shard"],
    row=table["row"],
    labels=table[key],
    metadata={name: table[column] for name, column in columns.items()},
  )


def _text(value):
  return value.decode("utf-8", errors="replace")
