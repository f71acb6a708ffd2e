"""The data of a run behind one object: which split, cut into which batches."""

from __future__ import annotations

import dataclasses
import os

from absl import logging

from data.batches import item_stream, pipeline
from data.problems import DataError
from data.sources import bag_source, damaged_records, image_table, labelled
from data.views import geometry


@dataclasses.dataclass(frozen=True)
class DataOptions:
  """Where images come from and how they are batched, as the flags name it."""

  demo: bool
  data_dir: str | None
  dataset: str | None
  on_bad_record: str
  patient_feature: str | None
  use_micle: bool
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

  def __init__(self, options, views):
    """Opens nothing yet.

    Args:
      options: `DataOptions`.
      views: `geometry.ViewOptions`.
    """
    self._options = options
    self._opened = []
    self._views: geometry.ViewOptions = views

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
      self._opened.append((folder, split))
      return source
    from data.sources import tfds_source

    return tfds_source.tfds_bags(
      options.dataset,
      split,
      data_dir=options.data_dir,
      patient_feature=options.patient_feature,
    )

  def damaged_records(self):
    """Returns what is wrong with the records of the splits that were opened.

    They are read whole for it; see `damaged_records.find`.
    """
    return [
      line
      for folder, split in self._opened
      for line in damaged_records.find(folder, split)
    ]

  def pairs_per_epoch(self, source):
    """Returns the steps of an epoch; see `pipeline.steps_per_epoch`."""
    return pipeline.steps_per_epoch(
      source,
      use_micle=self._options.use_micle,
      batch_size=self._options.train_batch_size,
      read_parts=self._options.read_parts,
    )

  def pair_batches(self, source, first_step, context=pipeline.ALONE):
    """Returns what `pipeline.pair_batches` does."""
    return pipeline.pair_batches(
      source,
      batch_size=self._options.train_batch_size,
      views=self._views,
      use_micle=self._options.use_micle,
      seed=self._options.seed,
      first_step=first_step,
      cache=self._options.cache_dataset,
      read_parts=self._options.read_parts,
      context=context,
    )

  def some_pairs(self, source, most):
    """Returns a few pairs as training cuts them, uint8 (n, 2, h, w, 3)."""
    options = self._options
    items = item_stream.num_items(source, options.use_micle)
    batches = pipeline.pair_batches(
      source,
      batch_size=min(most, items),
      views=self._views,
      use_micle=options.use_micle,
      seed=options.seed,
    )
    return next(iter(batches))["views"]

  def labelled(self, source, *, for_training):
    """Returns a `labelled.LabelledSplit`; for training, of a share of it."""
    options = self._options
    if not for_training:
      return labelled.labelled(source, unit=options.unit)
    return labelled.labelled(
      source,
      unit=options.unit,
      uncertain=options.uncertain,
      fraction=options.label_fraction,
      seed=options.seed,
    )

  def check_parts(self, split):
    """Raises DataError if `split`, a `LabelledSplit`, has not enough parts."""
    parts = self._options.read_parts
    sizes = item_stream.part_sizes(split.source, split.unit == "bag", parts)
    if not min(sizes):
      raise DataError(
        f"Expected labelled {split.unit}s in each of the parts that "
        f"{split.source.name} is read in. Received: none in one of "
        f"--read_parts={parts}. --read_parts=1 lets every worker read all."
      )

  def labelled_batches(self, source, first_step, context=pipeline.ALONE):
    """Returns what `pipeline.labelled_batches` does."""
    return pipeline.labelled_batches(
      source,
      batch_size=self._options.train_batch_size,
      views=self._views,
      unit=self._options.unit,
      bag_views=self._options.bag_views,
      seed=self._options.seed,
      first_step=first_step,
      cache=self._options.cache_dataset,
      read_parts=self._options.read_parts,
      context=context,
    )

  def some_labelled(self, source, most):
    """Returns a few items as training cuts them, uint8 (n, v, h, w, 3)."""
    options = self._options
    batches = pipeline.labelled_batches(
      source,
      batch_size=most,
      views=self._views,
      unit=options.unit,
      bag_views=options.bag_views,
      seed=options.seed,
    )
    return next(iter(batches))["views"]

  def by_unit(self, source):
    """Returns what `labelled.by_unit` does."""
    return labelled.by_unit(source, self._options.unit)

  def table(self, source):
    """Returns the `image_table.ImageTable` of a source."""
    return image_table.read(source)

  def image_batches(self, source, context=pipeline.ALONE):
    """Returns what `pipeline.image_batches` does."""
    return pipeline.image_batches(
      source,
      batch_size=self._options.eval_batch_size,
      views=self._views,
      context=context,
    )

  def image_steps(self, source, replicas):
    """Returns what `pipeline.image_steps` does."""
    return pipeline.image_steps(
      source, batch_size=self._options.eval_batch_size, replicas=replicas
    )

  def views_at(self, source, positions):
    """Returns what `pipeline.views_at` does."""
    return pipeline.views_at(source, positions, views=self._views)


def _demo_records():
  from data.demo import dataset as demo_dataset

  folder = demo_dataset.RECORDS
  if not os.path.exists(folder):
    logging.info("Making the demo's data in %s.", folder)
  return demo_dataset.demo_records(folder)
