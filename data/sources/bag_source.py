"""Stream of a split's bags, wherever its records come from."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Callable

import tensorflow as tf

from data.records import bag_records, cohort, dataset_json
from data.sources import damaged_records

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
    shard_bags: bags of each file; () where the files cannot be read apart.
    shard_images: images of each file; as `shard_bags`.
    digest: hexadecimal, tells one version of the data from another.
    key_id: tells one key of the pseudonyms from another; '' without patients.
    patients: returns the pseudonyms of the split's patients, sorted; () where
      not even images can be told apart.
    patients_known: whether these are patients; otherwise each image is its own.
    read: from a shuffle seed, int64 (), and optionally the numbers of the files
      to read, to a `tf.data.Dataset` of one pass over their bags: dicts of
      `patient_key` int64 (), `patient_id` and `bag_id` string (), `shard` int64
      (), `image` string (m,) (encoded), `row` int64 (m,), `metadata/<column>`
      string (m,), and `label` int64 (m,), -1 where unknown, or `labels` float32
      (m, classes), NaN where unknown and -1 where uncertain.
    cohort: of all splits, as `cohort.of_splits` has it; None: not known.
  """

  name: str
  task: str
  class_names: tuple[str, ...]
  metadata_columns: tuple[str, ...]
  num_bags: int
  num_images: int
  shard_bags: tuple[int, ...]
  shard_images: tuple[int, ...]
  digest: str
  key_id: str
  patients: Callable[[], tuple[str, ...]]
  patients_known: bool
  read: Callable[..., tf.data.Dataset]
  cohort: dict | None = None

  @property
  def label_key(self):
    """What a bag has its labels under: 'labels' of several findings."""
    return _label_key(self.task == "multi_label")


def labels_of(bag, indices=None):
  """Returns a bag's labels, or those of its images at `indices`, in a dict."""
  key = _label_key("labels" in bag)
  labels = bag[key]
  return {key: labels if indices is None else tf.gather(labels, indices)}


def _label_key(several):
  return "labels" if several else "label"


def bag_tfrecords(data_dir, split, *, skip_damaged=False):
  """Returns a `BagSource` of a folder that `data.build_tfrecords` wrote.

  Shards are read in an order drawn from the seed, several at a time.

  Args:
    data_dir: the folder.
    split: one of its splits, or several joined by +, as '1+2+3' where folds are
      the splits.
    skip_damaged: whether to read all records once, first, and to leave out
      those that are damaged; otherwise they are an error when they are read.

  Raises:
    dataset_json.DatasetError: where there is no whole data set, or no such
      split, or more than a hundredth of its records are damaged.
  """
  description = dataset_json.load(data_dir)
  names = list(dict.fromkeys(split.split("+")))
  paths = [
    str(path)
    for name in names
    for path in dataset_json.shard_paths(data_dir, name, description)
  ]
  summaries = [description.splits[name] for name in names]
  schema = _, columns = bag_records.schema(description)
  source = BagSource(
    name=f"{description.name}/{split}",
    task=description.task,
    class_names=description.class_names,
    metadata_columns=columns,
    num_bags=sum(one.bags for one in summaries),
    num_images=sum(one.images for one in summaries),
    shard_bags=_joined([one.shard_bags for one in summaries]),
    shard_images=_joined([one.shard_images for one in summaries]),
    digest=_digest(description, split),
    key_id=description.key_id,
    patients=lambda: _patients(data_dir, names, description),
    patients_known=True,
    read=_reader(
      len(paths),
      schema,
      lambda shard: tf.data.TFRecordDataset(tf.gather(paths, shard)),
    ),
    cohort=cohort.of_splits(description, names),
  )
  return _sound_part(source, paths, schema) if skip_damaged else source


def _patients(data_dir, names, description):
  """Returns the pseudonyms of the patients of splits, sorted."""
  return tuple(
    sorted(
      patient
      for name in names
      for patient in dataset_json.load_patients(data_dir, name, description)
    )
  )


def _reader(num_shards, schema, open_shard):
  """Returns what reads a source's bags, as `BagSource.read`.

  Args:
    num_shards: files there are.
    schema: as `bag_records.schema` returned it.
    open_shard: from a file's number, int64 (), to its records.
  """
  every_shard = range(num_shards)

  def numbered(shard):
    return open_shard(shard).map(lambda record: (shard, record))

  def parse(shard, serialized):
    return {**bag_records.parse_bag(serialized, *schema), "shard": shard}

  def read(seed, shards=every_shard):
    numbers = tf.data.Dataset.from_tensor_slices(tf.cast(shards, tf.int64))
    numbers = numbers.shuffle(len(shards), seed, reshuffle_each_iteration=False)
    records = numbers.interleave(
      numbered,
      cycle_length=min(len(shards), _CYCLE_LENGTH),
      num_parallel_calls=tf.data.AUTOTUNE,
      deterministic=True,
    )
    return records.map(parse, tf.data.AUTOTUNE, deterministic=True)

  return read


def _sound_part(source, paths, schema):
  """Returns a source less its damaged records; see `bag_tfrecords`."""
  found = damaged_records.check(paths, *schema, source.num_bags, decode=False)
  lines = damaged_records.lines(paths, found)
  if not lines:
    return source
  damaged_records.allow_few(lines, found, source.num_bags, source.name)
  sound = [[r for r in one if not r.damage] for one in found]
  kept = [[r.number for r in one] for one in sound]
  shard_images = [sum(r.images for r in one) for one in sound]
  places = tf.ragged.constant(
    [[(r.offset, r.length) for r in one] for one in sound],
    tf.int64,
    inner_shape=(2,),
  )
  return dataclasses.replace(
    source,
    num_bags=sum(map(len, sound)),
    num_images=sum(shard_images),
    shard_bags=tuple(map(len, sound)),
    shard_images=tuple(shard_images),
    digest=hashlib.sha256(repr((source.digest, kept)).encode()).hexdigest(),
    read=_reader(
      len(paths),
      schema,
      lambda shard: _records_at(paths, shard, places[shard]),
    ),
  )


def _joined(parts):
  """Returns the parts' tuples as one; () where one is not known."""
  return tuple(x for part in parts for x in part) if all(parts) else ()


def _records_at(paths, shard, places):
  """Returns the records of a shard that lie at `places`, int64 (n, 2)."""

  def read(shard, place):
    offset, length = place
    with open(paths[shard], "rb") as file:
      file.seek(offset)
      return file.read(length)

  def at(place):
    record = tf.numpy_function(read, [shard, place], tf.string)
    return tf.ensure_shape(record, ())

  return tf.data.Dataset.from_tensor_slices(places).map(at)


def _digest(description, split):
  """Of what dataset.json says: options, counts, sizes of files, patients."""
  text = dataset_json.to_json(description) + split
  return hashlib.sha256(text.encode()).hexdigest()
