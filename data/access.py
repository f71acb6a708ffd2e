"""Access to the data of a run: splits, and the batches made of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os

import tensorflow as tf
from absl import logging

from data.batches import held_out, images, item_stream, labelled, pairs
from data.demo import dataset as demo_dataset
from data.problems import DataError
from data.sources import bag_source, damaged_records, labelled_split
from data.views.geometry import ViewOptions


@dataclasses.dataclass(frozen=True)
class DataOptions:
  """Where images come from and how they are batched, as the flags name it."""

  demo: bool
  data_dir: str | None
  dataset: str | None
  on_bad_record: str
  patient_feature: str | None
  use_micle: bool
  views_per_bag: int
  unit: str
  uncertain: str
  bag_views: int
  label_fraction: float
  train_batch_size: int
  eval_batch_size: int
  cache_dataset: bool
  read_parts: int
  seed: int


class DataAccess:
  """Opens splits and makes batches of them; `run.py` hands it to the modes."""

  def __init__(self, options: DataOptions, views: ViewOptions):
    """Takes the options; opens nothing yet."""
    self._options = options
    self._views = views
    self._opened = []

  def open(self, split):
    """Returns a split as a `BagSource`; makes the demo's data if it is meant.

    Raises:
      DataError: where there is no such data set or split.
    """
    options = self._options
    if not options.dataset:
      folder = _demo_records() if options.demo else options.data_dir
      source = bag_source.bag_tfrecords(
        folder, split, skip_damaged=options.on_bad_record == "skip"
      )
      self._opened += [(folder, name) for name in split.split("+")]
      return source
    from data.sources import tfds_source

    return tfds_source.tfds_bags(
      options.dataset,
      split,
      data_dir=options.data_dir,
      patient_feature=options.patient_feature,
    )

  def open_if_there(self, split):
    """Returns a split as `open` does, or None and why it cannot be opened."""
    try:
      return self.open(split), ""
    except DataError as error:
      return None, str(error)

  @contextlib.contextmanager
  def damage_explained(self):
    """Says which record it was, where TensorFlow stumbles over a damaged one.

    Raises:
      DataError: on leaving, in place of TensorFlow's error.
    """
    try:
      yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
      damaged = [
        line
        for folder, split in self._opened
        for line in damaged_records.find(folder, split)
      ]
      if not damaged:
        raise
      lines = "\n- ".join(damaged)
      raise DataError(
        f"Expected sound records. Received: damaged ones:\n- {lines}\n"
        "Copy or build the data set again; what was saved before is kept. "
        "--on_bad_record=skip leaves out what does not match its checksum."
      ) from error

  def pairs(self, source):
    """Returns the `pairs.PairBatches` of a source to pretrain on."""
    return pairs.PairBatches(
      source,
      self._batches(),
      use_micle=self._options.use_micle,
      views_per_item=self._options.views_per_bag,
    )

  def sample_pairs(self, source, most):
    """Returns a few items as `pairs` has them, uint8 (n, v, h, w, 3).

    A source of less than a batch is enough.
    """
    micle = self._options.use_micle
    few = max(2, min(most, item_stream.num_items(source, micle)))
    options = dataclasses.replace(
      self._batches(), batch_size=few, cache=False, read_parts=1
    )
    few_pairs = pairs.PairBatches(
      source,
      options,
      use_micle=micle,
      views_per_item=self._options.views_per_bag,
    )
    return few_pairs.sample(most)

  def labelled(self, source):
    """Returns the `labelled.LabelledBatches` of a source to fine-tune on.

    They are of the known labels of `label_fraction` of the patients.
    """
    options = self._options
    split = labelled_split.labelled(
      source,
      unit=options.unit,
      uncertain=options.uncertain,
      fraction=options.label_fraction,
      seed=options.seed,
    )
    return labelled.LabelledBatches(
      split, self._batches(), bag_views=options.bag_views
    )

  def images(self, source, *, labelled_only=False):
    """Returns the `images.ImageBatches` of a source to evaluate on.

    Args:
      source: a `BagSource`.
      labelled_only: whether to leave out images without a known label.
    """
    options, table = self._options, None
    if labelled_only:
      split = labelled_split.labelled(source, unit=options.unit)
      source, table = split.source, split.table
    else:
      source = labelled_split.by_unit(source, options.unit)
    return images.ImageBatches(
      source,
      table=table,
      batch_size=options.eval_batch_size,
      views=self._views,
      unit=options.unit,
    )

  def held_out(self, source, most):
    """Returns at most so many images of a source, `held_out.HeldOutImages`."""
    return held_out.HeldOutImages(self.images(source), most)

  def _batches(self):
    return item_stream.BatchOptions(
      batch_size=self._options.train_batch_size,
      views=self._views,
      seed=self._options.seed,
      cache=self._options.cache_dataset,
      read_parts=self._options.read_parts,
    )


def _demo_records():
  folder = demo_dataset.RECORDS
  if not os.path.exists(folder):
    logging.info("Making the demo's data in %s.", folder)
  return demo_dataset.demo_records(folder)
