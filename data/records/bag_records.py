"""The schema of a bag record: one `tf.train.Example` a bag.

`patient_id` and `bag_id` are pseudonyms (bytes), `patient_key` is an int64.
Per image, as equally long lists: `images/image` (a JPEG or PNG file),
`images/row` (row of the manifest), `images/metadata/<column>` (texts, '' where
not stated) and either `images/label` (class number, -1 unlabelled) or
`images/labels` (C floats an image: 1, 0, -1 uncertain, NaN not stated).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

METADATA = "images/metadata/"


def serialize_bag(
  *,
  patient_id: str,
  bag_id: str,
  patient_key: int,
  images: Sequence[bytes],
  rows: Sequence[int],
  labels: Sequence[int] | Sequence[Sequence[float]],
  multi_label: bool,
  metadata: Mapping[str, Sequence[str]],
) -> bytes:
  """Serializes a bag of M images.

  Args:
    patient_id: pseudonym of the patient.
    bag_id: pseudonym of the bag.
    patient_key: number of the patient, in [0, 2^63).
    images: M JPEG or PNG files, M >= 1.
    rows: M rows of the manifest.
    labels: M class numbers, -1 for unlabelled; of a multi-label set M times C
      values 1, 0, -1 or NaN.
    multi_label: whether it is one.
    metadata: M texts for each column.

  Raises:
    ValueError: lists of different lengths.
  """
  lengths = [len(part) for part in (images, rows, labels, *metadata.values())]
  if len(set(lengths)) != 1 or not images:
    raise ValueError(
      "Expected equally many images, rows, labels and texts, at least one. "
      f"Received: {lengths}."
    )
  feature = {
    "patient_id": _bytes([patient_id.encode()]),
    "bag_id": _bytes([bag_id.encode()]),
    "patient_key": _int64([patient_key]),
    "images/image": _bytes(images),
    "images/row": _int64(rows),
  }
  if multi_label:
    flat = np.asarray(labels, np.float32).reshape(-1)  # (M * C,)
    feature["images/labels"] = tf.train.Feature(
      float_list=tf.train.FloatList(value=flat)
    )
  else:
    feature["images/label"] = _int64(labels)
  for column, texts in metadata.items():
    feature[METADATA + column] = _bytes([text.encode() for text in texts])
  example = tf.train.Example(features=tf.train.Features(feature=feature))
  return example.SerializeToString(deterministic=True)


def parse_bag(
  serialized: tf.Tensor,
  num_labels: int | None,
  metadata_columns: Sequence[str] = (),
) -> dict[str, tf.Tensor]:
  """Parses one record; to be used in `tf.data.Dataset.map`.

  Args:
    serialized: string (), a record.
    num_labels: C for a multi-label data set, None for any other.
    metadata_columns: those that the data set has.

  Returns:
    `patient_id` string (), `bag_id` string (), `patient_key` int64 (),
    `image` string (M,), `row` int64 (M,), and `label` int64 (M,) when
    num_labels is None, else `labels` float32 (M, C). And
    `metadata/<column>` string (M,) for each column.
  """
  features = {
    "patient_id": tf.io.FixedLenFeature([], tf.string),
    "bag_id": tf.io.FixedLenFeature([], tf.string),
    "patient_key": tf.io.FixedLenFeature([], tf.int64),
    "images/image": _list_of([], tf.string),
    "images/row": _list_of([], tf.int64),
  }
  if num_labels is None:
    features["images/label"] = _list_of([], tf.int64)
  else:
    features["images/labels"] = _list_of([num_labels], tf.float32)
  for column in metadata_columns:
    features[METADATA + column] = _list_of([], tf.string)
  parsed = tf.io.parse_single_example(serialized, features)
  return {key.removeprefix("images/"): parsed[key] for key in features}


def _list_of(shape, dtype):
  return tf.io.FixedLenSequenceFeature(shape, dtype, allow_missing=True)


def _bytes(values):
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _int64(values):
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def schema(description):
  """Returns `num_labels` and `metadata_columns` of `parse_bag`.

  Args:
    description: `dataset_json.DatasetDescription`.
  """
  multi_label = description.task == "multi_label"
  num_labels = len(description.class_names) if multi_label else None
  return num_labels, tuple(description.metadata)
