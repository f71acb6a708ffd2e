"""Counts of what a build writes, for `dataset.json`."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from data.manifest.rows import ManifestRow
from data.records.cohort import SplitCohort
from data.records.dataset_json import (
  ImageSizes,
  SplitDescription,
  patient_digest,
)

_VALUE_NAMES = {1.0: "1", 0.0: "0", -1.0: "-1"}


class Shard(NamedTuple):
  """What one file of records holds.

  Attributes:
    bags: a record each.
    images: of all bags.
    length: in bytes.
  """

  bags: int
  images: int
  length: int


class ImageOutcome(NamedTuple):
  """What became of one image.

  Attributes:
    reason: why it is left out, '' if it is not.
    digest: of the image as it is stored.
    width: in pixels.
    height: in pixels.
  """

  reason: str
  digest: bytes = b""
  width: int = 0
  height: int = 0


class SplitTally:
  """Counts the bags of one split.

  Attributes:
    patients: pseudonyms of the patients so far.
  """

  def __init__(
    self, task: str, class_names: tuple[str, ...], columns: tuple[str, ...] = ()
  ):
    """Begins at zero; `columns` are those of the metadata."""
    self._multi_label = task == "multi_label"
    self._class_names = class_names
    self._columns = columns
    # Patients of each label and of each value, {(column or None, it): ...}.
    self._with = collections.defaultdict(set)
    self.patients: set[str] = set()
    self._bag_sizes = collections.Counter()
    self._labelled = 0
    if self._multi_label:
      values = (*_VALUE_NAMES.values(), "missing")
      self._counts = {name: dict.fromkeys(values, 0) for name in class_names}
    else:
      self._counts = dict.fromkeys(class_names, 0)

  def add(self, patient: str, rows: Sequence[ManifestRow]) -> None:
    """Counts a bag: its patient's pseudonym, and a row an image."""
    self.patients.add(patient)
    self._bag_sizes[len(rows)] += 1
    for row in rows:
      for value in zip(self._columns, row.metadata):
        self._with[value].add(patient)
      label = row.label
      if self._multi_label:
        self._labelled += not all(math.isnan(value) for value in label)
        for name, value in zip(self._class_names, label):
          self._counts[name][_VALUE_NAMES.get(value, "missing")] += 1
          if value == 1:
            self._with[None, name].add(patient)
      elif label is not None:
        self._labelled += 1
        self._counts[label] += 1
        self._with[None, label].add(patient)

  @property
  def images(self) -> int:
    """Images counted so far."""
    return sum(size * bags for size, bags in self._bag_sizes.items())

  def describe(
    self,
    shards: Sequence[Shard],
    given: Iterable[tuple[str, Sequence[ManifestRow]]],
    rejected: Mapping[int, tuple[str, str]],
  ) -> SplitDescription:
    """Returns the counts.

    Args:
      shards: the files that were written.
      given: (patient, rows) of each bag of the split, before any was left out.
      rejected: as `Writing.rejected`.
    """
    return SplitDescription(
      patients=len(self.patients),
      bags=sum(self._bag_sizes.values()),
      images=self.images,
      labelled_images=self._labelled,
      label_counts=self._counts,
      bag_sizes=dict(sorted(self._bag_sizes.items())),
      shards=len(shards),
      shard_bytes=tuple(shard.length for shard in shards),
      patient_digest=patient_digest(self.patients),
      shard_bags=tuple(shard.bags for shard in shards),
      shard_images=tuple(shard.images for shard in shards),
      cohort=self._cohort(given, rejected),
    )

  def _cohort(self, given, rejected) -> SplitCohort:
    patients, rows = set(), set()
    for patient, of_bag in given:
      patients.add(patient)
      rows.update(row.row for row in of_bag)
    kinds = [kind for row, (kind, _) in rejected.items() if row in rows]
    found = {key: len(of) for key, of in sorted(self._with.items(), key=str)}
    return SplitCohort(
      rows=len(rows),
      row_patients=len(patients),
      rejected=dict(sorted(collections.Counter(kinds).items())),
      label_patients={
        name: found.get((None, name), 0) for name in self._class_names
      },
      metadata_patients={
        column: {v: n for (c, v), n in found.items() if c == column}
        for column in self._columns
      },
    )


class ImageTally:
  """Keeps the smallest and largest width and height, and counts repetitions.

  Attributes:
    repeated: rows of images that equal, to the bit, one that came before.
  """

  def __init__(self):
    """Begins with no image."""
    self._sizes: ImageSizes | None = None
    self._digests: set[bytes] = set()
    self.repeated: list[int] = []

  def add(self, image: ImageOutcome, row: int) -> None:
    """Counts one image, of a row of the manifest."""
    if image.digest in self._digests:
      self.repeated.append(row)
    self._digests.add(image.digest)
    width, height = image.width, image.height
    old = self._sizes or ImageSizes(width, width, height, height)
    self._sizes = ImageSizes(
      min(old.min_width, width),
      max(old.max_width, width),
      min(old.min_height, height),
      max(old.max_height, height),
    )

  def describe(self) -> ImageSizes:
    """Returns the range of all images; there must have been one."""
    return self._sizes
