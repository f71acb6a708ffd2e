"""A TFDS data set as a stream of bags."""

from __future__ import annotations

import hashlib

import tensorflow as tf
import tensorflow_datasets as tfds

from data import bag_source

_ALL = tf.int64.max


def tfds_bags(name, split, *, data_dir=None, patient_feature=None):
  """Returns a `BagSource` of a prepared TFDS data set.

  Each image is a bag of one unless `patient_feature` names the feature that
  says whose it is; then a patient's images are a bag, and the split's encoded
  images are kept in memory (larger data wants `data.build_tfrecords`).

  Args:
    name: the data set's name, as TFDS takes it ('imagenet2012:5.*.*').
    split: one of its splits, in TFDS's syntax ('train[:90%]').
    data_dir: where TFDS keeps its data; None for TFDS's default.
    patient_feature: an integer or text feature, or None.

  Raises:
    ValueError: where the data set is not there, or lacks the split or feature.
  """
  builder = _builder(name, data_dir)
  info, features = builder.info, builder.info.features
  try:
    num_images = info.splits[split].num_examples
  except (KeyError, ValueError) as error:
    raise ValueError(
      f"Expected a split of {name}, one of {sorted(info.splits)}. "
      f"Received: {split!r}"
    ) from error
  for feature in filter(None, ("image", patient_feature)):
    if feature not in features:
      raise ValueError(
        f"Expected a feature {feature!r} in {name}. Received: {list(features)}"
      )
  label = dict(features.items()).get("label")
  labelled = isinstance(label, tfds.features.ClassLabel)

  def to_bag(example):
    unknown = tf.constant([-1], tf.int64)
    patient = example.get(patient_feature, tf.constant(0, tf.int64))
    return {
      "patient_key": _patient_key(patient),
      "image": example["image"][None],
      "label": example["label"][None] if labelled else unknown,
    }

  def read(seed):
    del seed  # TFDS has shuffled the records when it wrote them.
    images = builder.as_dataset(
      split=split, decoders={"image": tfds.decode.SkipDecoding()}
    ).map(to_bag, tf.data.AUTOTUNE, deterministic=True)
    return _by_patient(images) if patient_feature else images

  num_bags = num_images
  if patient_feature:
    num_bags = int(read(None).reduce(0, lambda count, _: count + 1))
  return bag_source.BagSource(
    name=f"{name}/{split}",
    task="multi_class" if labelled else "unlabelled",
    class_names=tuple(label.names) if labelled else (),
    num_bags=num_bags,
    num_images=num_images,
    digest=hashlib.sha256(
      f"{info.full_name} {split} {num_images}".encode()
    ).hexdigest(),
    read=read,
  )


def _builder(name, data_dir):
  try:
    builder = tfds.builder(name, data_dir=data_dir)
  except tfds.core.registered.DatasetNotFoundError as error:
    raise ValueError(
      f"Expected --dataset to name a TFDS data set. Received: {name!r}. "
      f"{str(error).splitlines()[0]}"
    ) from error
  if not builder.info.splits:
    raise ValueError(
      f"Expected {name} to be prepared in {builder.data_dir}. Received: "
      f"nothing there. Run `tfds build {name}` first."
    )
  return builder


def _patient_key(patient):
  """Returns a non-negative int64 () for a patient, a number or a text."""
  if patient.dtype != tf.string:
    patient = tf.strings.as_string(patient)
  return tf.strings.to_hash_bucket_strong(patient, _ALL, key=[0x5EED, 0xBA6])


def _by_patient(images):
  """Joins bags of one into a bag a patient, in the order of patient keys."""

  def join(key, window):
    bag = window.batch(_ALL).get_single_element()
    return tf.data.Dataset.from_tensors(
      {
        "patient_key": key,
        "image": bag["image"][:, 0],
        "label": bag["label"][:, 0],
      }
    )

  return images.group_by_window(
    key_func=lambda bag: bag["patient_key"],
    reduce_func=join,
    window_size=_ALL,
  )
