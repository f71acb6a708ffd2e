"""Writing of one shard: from its bags and their images to a file of records."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from data.builder import conversion, shards
from data.builder.conversion import Converted
from data.builder.plan import Bag
from data.builder.tally import ImageOutcome, Shard
from data.images.image_bytes import BadImageError, CleanImage
from data.images.worker_pool import WorkerPool
from data.manifest import pseudonyms
from data.manifest.manifest import Manifest
from data.manifest.rows import ManifestRow
from data.problems import InputError, Problem, counted
from data.records import bag_records

# A record is one protocol buffer message, which ends at 2 GiB.
_MAX_BAG_BYTES = 2_000_000_000


def write_shard(
  path: Path,
  bags: Iterable[Bag],
  images: Iterator[Converted],
  manifest: Manifest,
) -> tuple[Shard, list[list[ImageOutcome]]]:
  """Writes a record for each bag that has a sound image.

  Args:
    path: file to write.
    bags: of the shard, with rows of images only that are in `images`.
    images: the stream of converted images, which is at the first of the bags.
    manifest: has the task, classes and columns; its rows are not looked at.

  Returns:
    What the file holds, maybe no bag, and what became of each bag's images.

  Raises:
    InputError: a bag is too large for a record.
    OSError: the file cannot be written.
  """
  outcomes: list[list[ImageOutcome]] = []

  def records() -> Iterator[tuple[bytes, int]]:
    for bag in bags:
      outcomes.append([])
      kept: list[tuple[ManifestRow, bytes]] = []
      for row, image in conversion.next_of(bag.rows, images):
        outcomes[-1].append(_outcome(image))
        if isinstance(image, CleanImage):
          kept.append((row, image.data))
      if kept:
        _check_bag_size(kept)
        yield _serialized(bag, kept, manifest), len(kept)

  return shards.write_part(path, records()), outcomes


def convert_and_write(
  work: tuple[Path, list[Bag], Mapping[int, str]],
  manifest: Manifest,
  max_side: int,
  window: str,
) -> tuple[Shard, list[list[ImageOutcome]]]:
  """As `write_shard`, and converts the images, on a worker of a cluster.

  Two workers may do it at once: the file gets its name when it is whole.

  Args:
    work: file to write, bags, paths of their images by row number.
    manifest: as in `write_shard`.
    max_side, window: as in `conversion.converted`.
  """
  path, bags, paths = work
  rows = (row for bag in bags for row in bag.rows)
  images = conversion.converted(rows, paths, max_side, window, WorkerPool(1, 0))
  attempt = path.with_name(f"{path.name}-{uuid.uuid4().hex}")
  written = write_shard(attempt, bags, images, manifest)
  os.replace(attempt, path)
  return written


def _outcome(image: CleanImage | BadImageError) -> ImageOutcome:
  if isinstance(image, BadImageError):
    return ImageOutcome(str(image))
  digest = hashlib.blake2b(image.data, digest_size=16).digest()
  return ImageOutcome("", digest, image.width, image.height)


def _serialized(
  bag: Bag, kept: list[tuple[ManifestRow, bytes]], manifest: Manifest
) -> bytes:
  labels = [row.label for row, _ in kept]
  multi_label = manifest.task == "multi_label"
  if not multi_label:
    number = {name: i for i, name in enumerate(manifest.class_names)}
    labels = [number.get(label, -1) for label in labels]
  return bag_records.serialize_bag(
    patient_id=bag.patient,
    bag_id=bag.bag,
    patient_key=pseudonyms.patient_key(bag.patient),
    images=[data for _, data in kept],
    rows=[row.row for row, _ in kept],
    labels=labels,
    multi_label=multi_label,
    metadata={
      name: [row.metadata[place] for row, _ in kept]
      for place, name in enumerate(manifest.columns.stored_metadata())
    },
  )


def _check_bag_size(kept: list[tuple[ManifestRow, bytes]]) -> None:
  if sum(len(data) for _, data in kept) > _MAX_BAG_BYTES:
    message = (
      "Expected bags of less than 2 GB of images. Received: "
      f"{counted(len(kept), 'image')} in the bag of this row: group by a finer "
      "--bag_column, or shrink the images by --max_side."
    )
    raise InputError([Problem("bag too large", message, kept[0][0].row)])
