"""Damaged records of a split: told in words, or left out where they are few."""

from __future__ import annotations

import tqdm
from absl import logging

from data.records import bag_records, dataset_json
from data.sources import record_check

# The share of records that may be left out, and how many are told of in full.
_MOST_DAMAGED = 0.01
_TOLD = 10


def find(data_dir, split):
  """Reads a split whole; returns what is wrong with its records, a line each.

  Images are decoded where nothing else is wrong.

  Args:
    data_dir: a folder that `data.build_tfrecords` wrote.
    split: one of its splits.
  """
  description = dataset_json.load(data_dir)
  paths = dataset_json.shard_paths(data_dir, split, description)
  bags = description.splits[split].bags
  for decode in (False, True):
    found = check(paths, *bag_records.schema(description), bags, decode=decode)
    damaged = lines(paths, found)
    if damaged:
      return _told(damaged)
  return []


def check(paths, num_labels, metadata_columns, num_bags, *, decode):
  """Returns a list of `record_check.Record`s for each shard.

  Args:
    paths: the shards.
    num_labels: as in `bag_records.parse_bag`.
    metadata_columns: as in `bag_records.parse_bag`.
    num_bags: that there should be, for the progress bar.
    decode: whether to decode the images, too.
  """
  found = []
  with tqdm.tqdm(
    total=num_bags, desc="Checking records", unit=" records", leave=False
  ) as bar:
    for path in paths:
      found.append([])
      for record in record_check.records(
        path, num_labels, metadata_columns, decode=decode
      ):
        found[-1].append(record)
        bar.update()
  return found


def lines(paths, found):
  """Returns a line for each damaged record that `check` found."""
  return [
    f"{path}, record {record.number}: {record.damage}"
    for path, records in zip(paths, found)
    for record in records
    if record.damage
  ]


def allow_few(damaged, found, num_bags, name):
  """Logs what is left out.

  Args:
    damaged: what `lines` returned.
    found: what `check` returned.
    num_bags: that there should be.
    name: of the split.

  Raises:
    dataset_json.DatasetError: if it is more than a hundredth of the records.
  """
  sound = sum(not record.damage for records in found for record in records)
  lost = num_bags - sound
  if lost > _MOST_DAMAGED * num_bags:
    raise dataset_json.DatasetError(
      f"Expected at most {_MOST_DAMAGED:.0%} of the records of {name} to be "
      f"damaged. Received: {lost} of {num_bags} that cannot be read: "
      f"{'; '.join(_told(damaged))}. Copy or build the data set again."
    )
  for line in _told(damaged):
    logging.warning("Left out: %s", line)
  logging.warning("Left out of %s: %d of %d records.", name, lost, num_bags)


def _told(damaged):
  more = [f"and {len(damaged) - _TOLD} more"] if len(damaged) > _TOLD else []
  return [*damaged[:_TOLD], *more]
