"""Counts what is written while it is written."""

from __future__ import annotations

import collections
import hashlib
import math

from data.images.image_bytes import CleanImage
from data.records.dataset_json import (
  ImageSizes,
  SplitDescription,
  patient_digest,
)

_VALUE_NAMES = {1.0: "1", 0.0: "0", -1.0: "-1"}


class SplitTally:
  """Counts the bags of one split.

  Attributes:
    patients: pseudonyms of the patients so far.
    shard_images: images of each shard that has any, up to the last one ended.
  """

  def __init__(self, task: str, class_names: tuple[str, ...]):
    """Begins at zero."""
    self._multi_label = task == "multi_label"
    self._class_names = class_names
    self.patients: set[str] = set()
    self.shard_images: list[int] = []
    self._bag_sizes = collections.Counter()
    self._labelled = 0
    if self._multi_label:
      values = (*_VALUE_NAMES.values(), "missing")
      self._counts = {name: dict.fromkeys(values, 0) for name in class_names}
    else:
      self._counts = dict.fromkeys(class_names, 0)

  def add(self, patient: str, labels: list) -> None:
    """Counts a bag: its patient's pseudonym, and one label an image."""
    self.patients.add(patient)
    self._bag_sizes[len(labels)] += 1
    for label in labels:
      if self._multi_label:
        self._labelled += not all(math.isnan(value) for value in label)
        for name, value in zip(self._class_names, label):
          self._counts[name][_VALUE_NAMES.get(value, "missing")] += 1
      elif label is not None:
        self._labelled += 1
        self._counts[label] += 1

  def end_shard(self) -> None:
    """Notes how many images were counted since the last shard ended."""
    images = self.images - sum(self.shard_images)
    if images:
      self.shard_images.append(images)

  @property
  def images(self) -> int:
    """Images counted so far."""
    return sum(size * bags for size, bags in self._bag_sizes.items())

  def describe(
    self, shard_bytes: list[int], shard_bags: list[int]
  ) -> SplitDescription:
    """Returns the counts, with the lengths of the files and their bags."""
    return SplitDescription(
      patients=len(self.patients),
      bags=sum(self._bag_sizes.values()),
      images=self.images,
      labelled_images=self._labelled,
      label_counts=self._counts,
      bag_sizes=dict(sorted(self._bag_sizes.items())),
      shards=len(shard_bytes),
      shard_bytes=tuple(shard_bytes),
      patient_digest=patient_digest(self.patients),
      shard_bags=tuple(shard_bags),
      shard_images=tuple(self.shard_images),
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

  def add(self, image: CleanImage, row: int) -> None:
    """Counts one image, of a row of the manifest."""
    digest = hashlib.blake2b(image.data, digest_size=16).digest()
    if digest in self._digests:
      self.repeated.append(row)
    self._digests.add(digest)
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
