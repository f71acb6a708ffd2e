"""Plan of a build: which bag goes to which split and shard."""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data.manifest import splits
from data.manifest.manifest import Manifest
from data.manifest.pseudonyms import Pseudonyms
from data.manifest.rows import ManifestRow
from data.problems import DataError, InputError, Problem

# Enough files to read in parallel and to shuffle by.
_MIN_SHARDS = 8


class Bag(NamedTuple):
  """The images of one patient case.

  Attributes:
    patient: pseudonym of the patient.
    bag: pseudonym of the bag.
    rows: its rows of the manifest, in order.
  """

  patient: str
  bag: str
  rows: list[ManifestRow]


def assign_splits(
  manifest: Manifest, fractions: Sequence[str], seed: int
) -> dict[str, str]:
  """Returns the split of each patient, from the manifest or drawn.

  All patients of the manifest take part in the draw, so that a bad image does
  not move patients between splits.

  Args:
    manifest: a checked manifest.
    fractions: 'NAME=FRACTION' of each split; () for the defaults. Where the
      manifest has splits, the one of them that is named is divided.
    seed: of the draw.

  Raises:
    InputError: fewer patients than splits, or none or several to divide.
  """
  given: dict[str, str] = {}
  if manifest.columns.split:
    given = {row.patient: row.split for row in manifest.rows}
    if not fractions:
      return given
  shares = splits.DEFAULT_FRACTIONS
  if fractions:
    shares = splits.parse_fractions(fractions)
  divided = _split_to_divide(given, shares)
  labels = collections.defaultdict(list)
  for row in manifest.rows:
    if given.get(row.patient) == divided:
      labels[row.patient].append(row.label)
  if manifest.task == "multi_label":
    strata = splits.multi_label_strata(labels)
  else:
    strata = splits.multi_class_strata(labels)
  try:
    return {**given, **splits.draw_splits(strata, shares, seed)}
  except DataError as error:
    message = (
      f"{error} Name fewer splits, as --split_fractions=train=1, or give a "
      "split column."
    )
    raise InputError([Problem("too few patients", message)]) from error


def _split_to_divide(
  given: Mapping[str, str], shares: Mapping[str, float]
) -> str | None:
  """Returns the given split that --split_fractions names, None without any."""
  names = sorted(set(given.values()))
  found = [name for name in names if name in shares]
  if given and len(found) != 1:
    message = (
      "--split_fractions: Expected the name of one given split, which is "
      "divided, and names of new ones. Received: "
      f"{', '.join(shares)} beside {', '.join(names)}."
    )
    raise InputError([Problem("bad option", message)])
  return found[0] if given else None


def plan_shards(
  manifest: Manifest,
  split_of: dict[str, str],
  pseudonyms: Pseudonyms,
  seed: int,
  images_per_shard: int,
) -> dict[str, list[list[Bag]]]:
  """Groups images to bags and bags to shards.

  The bags are in an order drawn from the seed: neighbours in the manifest,
  often of one class or one clinic, are no neighbours in the files.

  Returns:
    For each split its shards as lists of bags. No shard is empty. train,
    validation and test come first.
  """
  members: dict[tuple[str, str], list[ManifestRow]] = {}
  for row in manifest.rows:
    members.setdefault((row.patient, row.bag), []).append(row)
  by_split: dict[str, list[Bag]] = {}
  for (patient, bag), rows in members.items():
    by_split.setdefault(split_of[patient], []).append(
      Bag(pseudonyms.patient(patient), pseudonyms.bag(patient, bag), rows)
    )
  return {
    split: _cut(_shuffled(bags, seed), images_per_shard)
    for split, bags in sorted(by_split.items(), key=_split_order)
  }


def _split_order(item: tuple[str, list[Bag]]) -> tuple[int, str]:
  usual = list(splits.DEFAULT_FRACTIONS)
  name = item[0]
  return usual.index(name) if name in usual else len(usual), name


def _shuffled(bags: list[Bag], seed: int) -> list[Bag]:
  return sorted(bags, key=lambda bag: splits.drawn_place(seed, bag.bag))


def _cut(bags: list[Bag], images_per_shard: int) -> list[list[Bag]]:
  images = sum(len(bag.rows) for bag in bags)
  shards = max(_MIN_SHARDS, math.ceil(images / images_per_shard))
  shards = min(shards, len(bags))
  edges = [len(bags) * shard // shards for shard in range(shards + 1)]
  return [bags[start:end] for start, end in zip(edges, edges[1:])]
