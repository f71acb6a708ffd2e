"""A split as a stream of bags, wherever its records come from."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Callable

import tensorflow as tf

from data import bag_records, dataset_json

# Shards read at a time.
_CYCLE_LENGTH = 16


@dataclasses.dataclass(frozen=True)
class BagSource:
  """One split of a data set.

  Attributes:
    name: the data set's name and split, for messages.
    task: 'multi_class', 'multi_label' or 'unlabelled'.
    class_names: the classes, in the order of their label numbers.
    metadata_columns: what is kept of each image beside its label.
    num_bags: bags in the split.
    num_images: images in the split.
    digest: hexadecimal, tells one version of the data from another.
    key_id: tells one key of the pseudonyms from another; '' without patients.
    patients: returns the pseudonyms of the split's patients, sorted; () where
      not even images can be told apart.
    patients_known: whether these are patients; otherwise each image is its own.
    read: from a shuffle seed, int64 (), to a `tf.data.Dataset` of one pass over
      the bags: dicts of `patient_key` int64 (), `patient_id` and `bag_id`
      string (), `image` string (m,) (encoded), `row` int64 (m,),
      `metadata/<column>` string (m,), and `label` int64 (m,), -1 where unknown,
      or `labels` float32 (m, classes), NaN where unknown and -1 where
      uncertain.
  """

  name: str
  task: str
  class_names: tuple[str, ...]
  metadata_columns: tuple[str, ...]
  num_bags: int
  num_images: int
  digest: str
  key_id: str
  patients: Callable[[], tuple[str, ...]]
  patients_known: bool
  read: Callable[[tf.Tensor], tf.data.Dataset]


def bag_tfrecords(data_dir, split):
  """Returns a `BagSource` of a folder that `data.build_tfrecords` wrote.

  Shards are read in an order drawn from the seed, several at a time.

  Args:
    data_dir: the folder.
    split: one of its splits.

  Raises:
    dataset_json.DatasetError: where there is no whole data set, or no such
      split.
  """
  description = dataset_json.load(data_dir)
  paths = dataset_json.shard_paths(data_dir, split, description)
  paths = [str(path) for path in paths]
  summary = description.splits[split]
  multi_label = description.task == "multi_label"
  num_labels = len(description.class_names) if multi_label else None
  columns = tuple(description.metadata)

  def parse(serialized):
    return bag_records.parse_bag(serialized, num_labels, columns)

  def read(seed):
    files = tf.data.Dataset.from_tensor_slices(paths)
    files = files.shuffle(len(paths), seed, reshuffle_each_iteration=False)
    records = files.interleave(
      tf.data.TFRecordDataset,
      cycle_length=min(len(paths), _CYCLE_LENGTH),
      num_parallel_calls=tf.data.AUTOTUNE,
      deterministic=True,
    )
    return records.map(parse, tf.data.AUTOTUNE, deterministic=True)

  return BagSource(
    name=f"{description.name}/{split}",
    task=description.task,
    class_names=description.class_names,
    metadata_columns=columns,
    num_bags=summary.bags,
    num_images=summary.images,
    digest=_digest(description, split),
    key_id=description.key_id,
    patients=lambda: dataset_json.load_patients(data_dir, split, description),
    patients_known=True,
    read=read,
  )


def _digest(description, split):
  """Of what dataset.json says: options, counts, sizes of files, patients."""
  text = dataset_json.to_json(description) + split
  return hashlib.sha256(text.encode()).hexdigest()
