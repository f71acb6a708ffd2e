"""Labelled part of a split: known labels, of a share of the patients."""

from __future__ import annotations

import collections
import dataclasses
import math

import numpy as np
import tensorflow as tf

from data.manifest import splits
from data.problems import DataError
from data.sources import bag_source, image_table


@dataclasses.dataclass(frozen=True)
class LabelledSplit:
  """The part of a split that has labels.

  Attributes:
    source: its `BagSource`.
    table: the `image_table.ImageTable` of its images.
    unit: 'image' or 'bag': what has a label.
    left_out: items of the whole split without a label; a bag, also one whose
      images have several.
  """

  source: bag_source.BagSource
  table: image_table.ImageTable
  unit: str
  left_out: int

  @property
  def num_items(self):
    """Images, or bags."""
    by_bag = self.unit == "bag"
    return self.source.num_bags if by_bag else self.source.num_images

  @property
  def labels(self):
    """Each item's label: int64 (items,) or float32 (items, classes)."""
    if self.unit == "image":
      return self.table.labels
    _, first = np.unique(self.table.bag_id, return_index=True)
    return self.table.labels[first]


def labelled(source, *, unit, uncertain="ignore", fraction=1.0, seed=0):
  """Returns the part of a split that has labels, of a share of its patients.

  The patients of each stratum (their most frequent class, or rarest positive
  finding) stand in an order drawn from the seed, and the first `fraction` of
  them, rounded up, are taken: a smaller fraction is inside a larger one, and
  each stratum keeps a patient.

  Args:
    source: a `BagSource` with labels.
    unit: as in `by_unit`; images without a known label are left out.
    uncertain: 'ignore': an uncertain finding is not known either.
    fraction: of the patients with labels, in (0, 1].
    seed: of the draw.

  Returns:
    A `LabelledSplit`.

  Raises:
    DataError: if no label is known.
  """
  known = _with_known_labels(by_unit(source, unit), uncertain)
  table = image_table.read(known)
  chosen = _draw_patients(table, source.task, fraction, seed)
  by_bag = unit == "bag"
  items = len(set(table.bag_id)) if by_bag else len(table.row)
  left_out = (source.num_bags if by_bag else source.num_images) - items
  if not chosen:
    raise DataError(
      f"Expected labels in {source.name}. Received: no known label. Build the "
      "records with --label_column or --label_columns."
    )
  if len(chosen) < len(set(table.patient_id)):
    known = _of_patients(known, chosen)
    table = table.where(np.isin(table.patient_id, chosen))
  _, firsts = np.unique(table.bag_id, return_index=True)
  shards = len(source.shard_bags)
  subset = dataclasses.replace(
    known,
    num_bags=len(firsts),
    num_images=len(table.row),
    shard_bags=_per_shard(table.shard[firsts], shards),
    shard_images=_per_shard(table.shard, shards),
    patients=lambda: tuple(chosen) if source.patients() else (),
  )
  return LabelledSplit(subset, table, unit, left_out)


def _per_shard(shard, shards):
  """Returns how many of the numbers in `shard` are that of each file."""
  if not shards:
    return ()
  return tuple(np.bincount(shard, minlength=shards).tolist())


def by_unit(source, unit):
  """Returns `source` with labels of what they belong to.

  Args:
    source: a `BagSource`.
    unit: 'image': as it is. 'bag': every image takes its bag's label (see
      `bag_label`).
  """
  if unit == "image":
    return source
  key = source.label_key

  def with_bag_label(bag):
    label = bag_label(bag[key])[None]
    repeats = [tf.shape(bag[key])[0]] + [1] * (label.shape.rank - 1)
    return {**bag, key: tf.tile(label, repeats)}

  @tf.autograph.experimental.do_not_convert
  def read(*which):
    bags = source.read(*which)
    return bags.map(with_bag_label, tf.data.AUTOTUNE, deterministic=True)

  return dataclasses.replace(source, read=read)


def bag_label(labels):
  """Returns the one label of a bag's images.

  Args:
    labels: int64 (m,), -1 unknown, or float32 (m, classes), 1, 0, -1 uncertain,
      NaN not stated.

  Returns:
    int64 (): the label that all labelled images state, -1 where none does or
    they differ. Or float32 (classes,): 1 if an image shows the finding, else -1
    if one may show it, else 0 if one was found without it, else NaN.
  """
  if labels.dtype.is_integer:
    most = tf.reduce_max(labels)
    agree = tf.reduce_all((labels < 0) | (labels == most))
    return tf.where(agree, most, tf.constant(-1, labels.dtype))

  def stated(value):
    return tf.reduce_any(labels == value, axis=0)

  label = tf.where(stated(0.0), 0.0, math.nan)
  label = tf.where(stated(-1.0), -1.0, label)
  return tf.where(stated(1.0), 1.0, label)


def _with_known_labels(source, uncertain):
  """Returns `source` less the images without a known label."""
  key = source.label_key
  per_image = {"image", "row", key}
  per_image |= {f"metadata/{name}" for name in source.metadata_columns}

  def known(labels):
    if labels.dtype.is_integer:
      return labels >= 0
    if uncertain == "ignore":
      return tf.reduce_any(labels >= 0, axis=-1)  # NaN is not.
    return tf.reduce_any(~tf.math.is_nan(labels), axis=-1)

  def only_known(bag):
    mask = known(bag[key])
    return {
      name: tf.boolean_mask(value, mask) if name in per_image else value
      for name, value in bag.items()
    }

  @tf.autograph.experimental.do_not_convert
  def read(*which):
    bags = source.read(*which)
    bags = bags.filter(lambda bag: tf.reduce_any(known(bag[key])))
    return bags.map(only_known, tf.data.AUTOTUNE, deterministic=True)

  return dataclasses.replace(source, read=read)


def _draw_patients(table, task, fraction, seed):
  """Returns the sorted pseudonyms of the patients to train on."""
  labels = collections.defaultdict(list)
  for patient, label in zip(table.patient_id, table.labels):
    labels[patient].append(label)
  strata_of = (
    splits.multi_label_strata
    if task == "multi_label"
    else splits.multi_class_strata
  )
  members = collections.defaultdict(list)
  for patient, stratum in strata_of(labels).items():
    members[stratum].append(patient)
  chosen = []
  for patients in members.values():
    # 0.1 * 30 is 3.0000000000000004: no patient more for that.
    count = math.ceil(fraction * len(patients) - 1e-9)
    ranked = sorted(patients, key=lambda p: splits.drawn_place(seed, p))
    chosen += ranked[:count]
  return sorted(chosen)


def _of_patients(source, patients):
  """Returns `source` less the bags of other patients."""
  ids = tf.constant(patients)

  def is_one(bag):
    at = tf.searchsorted(hashes, _hash(bag["patient_id"])[None])[0]
    at = tf.minimum(at, len(patients) - 1)
    return hashes[at] == _hash(bag["patient_id"])

  hashes = tf.sort(_hash(ids))

  @tf.autograph.experimental.do_not_convert
  def read(*which):
    return source.read(*which).filter(is_one)

  return dataclasses.replace(source, read=read)


def _hash(text):
  return tf.strings.to_hash_bucket_fast(text, tf.int64.max)
