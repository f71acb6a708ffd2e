"""Stream of bags of a TFDS data set."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shlex

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from data.problems import DataError
from data.sources import bag_source

_ALL = tf.int64.max
_MOST_EXAMPLES = 200_000
_HASH_KEY = [0x5EED, 0xBA6]


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
    DataError: where the data set is not there, lacks the split or feature, or
      has features of other kinds.
  """
  builder = _builder(name, data_dir)
  info, features = builder.info, builder.info.features
  try:
    num_images = info.splits[split].num_examples
  except (KeyError, ValueError):
    num_images = 0
  if num_images < 1:  # Below, where a slice ends before it begins.
    raise DataError(
      f"Expected a split of {name} with images, one of {sorted(info.splits)} "
      f"or a slice of it. Received: {split!r}"
    )
  _check_features(name, features, patient_feature)
  label = dict(features.items()).get("label")
  labelled = isinstance(label, tfds.features.ClassLabel)

  def to_bag(row, example):
    unknown = tf.constant([-1], tf.int64)
    # Without patients each image is its own.
    patient = tf.strings.format(split + "-{}", row)
    if patient_feature:
      patient = _text(example[patient_feature], otherwise=patient)
    key = tf.strings.to_hash_bucket_strong(patient, _ALL, key=_HASH_KEY)
    name = tf.strings.as_string(key) if patient_feature else patient
    return {
      "patient_key": key,
      "patient_id": name,
      "bag_id": name,
      "image": example["image"][None],
      "row": row[None],
      "label": example["label"][None] if labelled else unknown,
      "shard": tf.constant(0, tf.int64),
    }

  def read(seed):
    del seed  # TFDS has shuffled the records when it wrote them.
    with _without_its_log():
      images = builder.as_dataset(
        split=split, decoders={"image": tfds.decode.SkipDecoding()}
      )
    images = images.enumerate().map(
      to_bag, tf.data.AUTOTUNE, deterministic=True
    )
    return _by_patient(images) if patient_feature else images

  @functools.cache
  def patients():
    if not patient_feature:
      return _examples(info.splits[split])
    bags = read(None).map(lambda bag: bag["patient_id"])
    return tuple(sorted(p.decode() for p in bags.as_numpy_iterator()))

  return bag_source.BagSource(
    name=f"{name}/{split}",
    task="multi_class" if labelled else "unlabelled",
    class_names=tuple(label.names) if labelled else (),
    metadata_columns=(),
    num_bags=len(patients()) if patient_feature else num_images,
    num_images=num_images,
    shard_bags=(),
    shard_images=(),
    digest=hashlib.sha256(
      f"{info.full_name} {split} {num_images}".encode()
    ).hexdigest(),
    key_id=f"tfds:{info.full_name}:{patient_feature or 'images'}",
    patients=patients,
    patients_known=bool(patient_feature),
    read=read,
  )


def _examples(split):
  """Returns a name for each example, the same in every split that has it.

  So parts of a split, 'train[:50%]', can be told apart where patients are not
  known. () for more of them than a run should remember.
  """
  if split.num_examples > _MOST_EXAMPLES:
    return ()
  return tuple(
    sorted(
      f"{os.path.basename(file.filename)}:{file.skip + k}"
      for file in split.file_instructions
      for k in range(file.take)
    )
  )


def _builder(name, data_dir):
  try:
    with _without_its_log():
      builder = tfds.builder(name, data_dir=data_dir)
  except OSError:
    raise
  except Exception as error:  # All sorts, of a name; no code of ours runs here.
    # Less the arguments that it repeats, and the list of all names below.
    says = str(error).partition("\n")[0].rpartition('}": ')[2]
    raise DataError(
      "Expected --dataset to name a TFDS data set, as NAME[/CONFIG][:VERSION]. "
      f"Received: {name!r}. TFDS says: {says or type(error).__name__}"
    ) from error
  if not builder.info.splits:
    command = ["tfds", "build", name]
    command += [f"--data_dir={data_dir}"] if data_dir else []
    raise DataError(
      f"Expected {name} to be prepared in {builder.data_dir}. Received: "
      f"nothing there. Run `{shlex.join(command)}` first."
    )
  return builder


@contextlib.contextmanager
def _without_its_log():
  """Hides what TFDS logs of each file that it opens, not its warnings."""
  verbosity = logging.get_verbosity()
  logging.set_verbosity(min(verbosity, logging.WARNING))
  try:
    yield
  finally:
    logging.set_verbosity(verbosity)


def _check_features(name, features, patient_feature):
  """Refuses a data set whose features are not what a `BagSource` needs."""
  for feature in filter(None, ("image", patient_feature)):
    if feature not in features:
      raise DataError(
        f"Expected a feature {feature!r} in {name}. Received: {list(features)}"
      )
  if not isinstance(features["image"], tfds.features.Image):
    raise DataError(
      f"Expected 'image' to be a tfds.features.Image in {name}. Received: "
      f"{features['image']}"
    )
  if patient_feature:
    patient = features[patient_feature]
    if patient.shape != () or np.dtype(patient.np_dtype).kind not in "iuO":
      raise DataError(
        f"Expected {patient_feature!r} to be one number or text an image in "
        f"{name}. Received: {patient}"
      )


def _text(patient, *, otherwise):
  """Returns a patient's number or text as text; `otherwise` for an empty one.

  An image of nobody known is a bag of its own, not one of all such images.
  """
  if patient.dtype != tf.string:
    return tf.strings.as_string(patient)
  return tf.where(tf.strings.strip(patient) == "", otherwise, patient)


def _by_patient(images):
  """Joins bags of one into a bag a patient, in the order of patient keys."""

  def join(key, window):
    bag = window.batch(_ALL).get_single_element()
    return tf.data.Dataset.from_tensors(
      {
        "patient_key": key,
        "patient_id": bag["patient_id"][0],
        "bag_id": bag["bag_id"][0],
        "image": bag["image"][:, 0],
        "row": bag["row"][:, 0],
        "label": bag["label"][:, 0],
        "shard": bag["shard"][0],
      }
    )

  return images.group_by_window(
    key_func=lambda bag: bag["patient_key"],
    reduce_func=join,
    window_size=_ALL,
  )
