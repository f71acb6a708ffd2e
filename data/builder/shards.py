"""Shards of records, and TFDS's metadata beside them."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds

from data import system_faults
from data.builder.tally import Shard
from data.records.dataset_json import shard_name

_DESCRIPTION = (
  "Images in bags, one bag a patient or case, written by "
  "data.build_tfrecords. Ids are keyed pseudonyms."
)


class SplitWriter:
  """Writes one split. The number of shards is known at the end only, as bags
  whose images are all rejected may leave a shard without a record.

  Attributes:
    shards: those that have a record.
  """

  def __init__(self, folder: Path, name: str, split: str):
    """Prepares to write to `folder`."""
    self._folder, self._name, self._split = folder, name, split
    self.shards: list[Shard] = []

  def next_part(self) -> Path:
    """Returns the name that the next shard has until `finish`."""
    return self._part(len(self.shards))

  def take(self, path: Path, shard: Shard) -> None:
    """Takes a file that `write_part` wrote; one without a record is removed."""
    if shard.bags:
      os.rename(path, self.next_part())
      self.shards.append(shard)
    else:
      path.unlink()

  def finish(self) -> None:
    """Gives the shards their final names."""
    total = len(self.shards)
    for shard in range(total):
      name = shard_name(self._name, self._split, shard, total)
      os.rename(self._part(shard), self._folder / name)

  def _part(self, shard: int) -> Path:
    return self._folder / f"{self._name}-{self._split}.part{shard}"


def write_part(path: Path, records: Iterable[tuple[bytes, int]]) -> Shard:
  """Writes serialized records, each given with its images' number.

  Raises:
    OSError: the file cannot be written.
  """
  bags = images = 0
  with system_faults.raised(), tf.io.TFRecordWriter(str(path)) as writer:
    for record, images_of_bag in records:
      writer.write(record)
      bags += 1
      images += images_of_bag
  return Shard(bags, images, path.stat().st_size)


def write_tfds_metadata(
  folder: Path,
  name: str,
  task: str,
  class_names: tuple[str, ...],
  metadata_columns: tuple[str, ...],
  writers: Mapping[str, SplitWriter],
) -> None:
  """Writes what `tfds.builder_from_directory` needs to read the folder."""
  image = {
    "image": tfds.features.Image(shape=(None, None, 3)),
    "row": tfds.features.Scalar(tf.int64),
  }
  if task == "multi_label":
    shape = (len(class_names),)
    image["labels"] = tfds.features.Tensor(shape=shape, dtype=tf.float32)
  elif task == "multi_class":
    image["label"] = tfds.features.ClassLabel(names=list(class_names))
  else:
    image["label"] = tfds.features.Scalar(tf.int64)
  if metadata_columns:
    image["metadata"] = {
      column: tfds.features.Text() for column in metadata_columns
    }
  features = tfds.features.FeaturesDict(
    {
      "patient_id": tfds.features.Text(),
      "bag_id": tfds.features.Text(),
      "patient_key": tfds.features.Scalar(tf.int64),
      "images": tfds.features.Sequence(image),
    }
  )
  template = tfds.core.ShardedFileTemplate(
    data_dir=folder, dataset_name=name, filetype_suffix="tfrecord"
  )
  splits = [
    tfds.core.SplitInfo(
      name=split,
      shard_lengths=[shard.bags for shard in writer.shards],
      num_bytes=sum(shard.length for shard in writer.shards),
      filename_template=template.replace(split=split),
    )
    for split, writer in writers.items()
  ]
  with system_faults.raised(), contextlib.redirect_stdout(io.StringIO()):
    tfds.folder_dataset.write_metadata(
      data_dir=folder,
      features=features,
      split_infos=splits,
      filename_template=template,
      check_data=False,
      description=_DESCRIPTION,
    )
