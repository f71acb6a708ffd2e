"""Writing of a planned data set: convert, write, rename.

TensorFlow is imported only when all checks have passed.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from data.builder import conversion, plan, rejected
from data.builder.conversion import Converted
from data.builder.options import BuildOptions
from data.builder.tally import ImageTally, SplitTally
from data.images import image_files
from data.images.image_bytes import BadImageError
from data.images.image_files import CheckedFiles
from data.images.worker_pool import WorkerPool
from data.manifest import pseudonyms
from data.manifest.manifest import Manifest
from data.manifest.rows import ManifestRow
from data.problems import InputError, Problem, counted
from data.records import dataset_json
from data.records.dataset_json import DatasetDescription

# A record is one protocol buffer message, which ends at 2 GiB.
_MAX_BAG_BYTES = 2_000_000_000


class Writing:
  """The part of a build that writes.

  Attributes:
    rejected: images that are left out, {row: (kind, reason)}; `run` adds to
      them what only decoding shows.
  """

  def __init__(
    self,
    options: BuildOptions,
    manifest: Manifest,
    planned: dict[str, list[list[plan.Bag]]],
    key_file: pseudonyms.KeyFile,
    files: CheckedFiles,
    pool: WorkerPool,
    bar: Callable,
  ):
    """Takes what to write; does nothing yet.

    Args:
      options: as they were checked.
      manifest: without problems.
      planned: what `plan.plan_shards` returned.
      key_file: the key of the plan's pseudonyms.
      files: the image files; the bad ones are left out.
      pool: converts the images.
      bar: from a description and a total to what wraps an iterable.
    """
    self._options = options
    self._manifest = manifest
    self._plan = planned
    self._key_file = key_file
    self._paths = files.paths
    self._pool = pool
    self._bar = bar
    self._images = ImageTally()
    self.rejected = dict(files.bad)

  @property
  def repeated(self) -> list[int]:
    """Rows of images that equal, to the bit, one that came before."""
    return self._images.repeated

  def run(self) -> DatasetDescription:
    """Writes to a temporary sibling folder and renames it when all is done."""
    output = self._options.output_path
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = output.with_name(f"{output.name}.building-{uuid.uuid4().hex[:8]}")
    remove = functools.partial(shutil.rmtree, folder, ignore_errors=True)
    # A second signal may break off the removal below; then this ends it.
    atexit.register(remove)
    try:
      folder.mkdir()
      description = self._write(folder)
      _sync_files(folder)
      # Before the data: nobody shall have these without the key.
      self._key_file.save()
      os.rename(folder, output)
    except OSError as error:  # The temporary folder says nothing to the user.
      if str(folder) in str(error.filename or folder):
        error.filename, error.filename2 = str(output), None
      raise
    finally:
      remove()
      atexit.unregister(remove)
    return description

  def _write(self, folder: Path) -> DatasetDescription:
    from data.builder import shards

    options, manifest = self._options, self._manifest
    name = options.dataset_name
    writers, tallies = {}, {}
    # Closing ends the progress bar, before anything else is printed.
    with contextlib.closing(self._converted()) as images:
      for split, planned in self._plan.items():
        tally = SplitTally(manifest.task, manifest.class_names)
        writer = shards.SplitWriter(folder, name, split)
        for bags in planned:
          writer.write_shard(self._records(bags, images, tally))
        writer.finish()
        writers[split], tallies[split] = writer, tally
      for _ in images:  # None is left; the bar goes to its end.
        pass
    self._check_rejected(tallies)
    shards.write_tfds_metadata(
      folder,
      name,
      manifest.task,
      manifest.class_names,
      manifest.columns.stored_metadata(),
      writers,
    )
    dataset_json.save_patients(
      {split: tally.patients for split, tally in tallies.items()}, folder
    )
    if options.on_bad_image == "skip":
      rejected.write_csv(folder / rejected.FILE_NAME, self.rejected)
    description = DatasetDescription(
      name=name,
      task=manifest.task,
      class_names=manifest.class_names,
      splits={
        split: tally.describe(writers[split].shards)
        for split, tally in tallies.items()
      },
      image_sizes=self._images.describe(),
      metadata=manifest.metadata_values(),
      key_id=pseudonyms.Pseudonyms(self._key_file.key).key_id,
      options=options.for_json(
        drawn=manifest.columns.split is None, rejected=len(self.rejected)
      ),
    )
    dataset_json.save(description, folder)
    return description

  def _sound(self, rows: list[ManifestRow]) -> list[ManifestRow]:
    """Returns the rows whose images have sound headers."""
    return [row for row in rows if row.row in self._paths]

  def _converted(self) -> Iterator[Converted]:
    """Yields the rows and their images in the order of the plan."""
    rows = (
      row
      for shards in self._plan.values()
      for bags in shards
      for bag in bags
      for row in self._sound(bag.rows)
    )
    options = self._options
    images = conversion.converted(
      rows, self._paths, options.max_side, options.window, self._pool
    )
    total = len(self._sound(self._manifest.rows))
    return iter(self._bar("Converting images", total)(images))

  def _records(
    self, bags: list[plan.Bag], images: Iterator[Converted], tally: SplitTally
  ) -> Iterator[tuple[bytes, int]]:
    """Yields a record, and its images, for each bag with an image left."""
    for bag in bags:
      kept: list[tuple[ManifestRow, bytes]] = []
      for row, image in conversion.next_of(self._sound(bag.rows), images):
        if isinstance(image, BadImageError):
          self.rejected[row.row] = "damaged image", str(image)
        else:
          self._images.add(image, row.row)
          kept.append((row, image.data))
      if kept:
        _check_bag_size(kept)
        tally.add(bag.patient, [row.label for row, _ in kept])
        yield self._serialized(bag, kept), len(kept)

  def _serialized(
    self, bag: plan.Bag, kept: list[tuple[ManifestRow, bytes]]
  ) -> bytes:
    from data.records import bag_records

    labels = [row.label for row, _ in kept]
    multi_label = self._manifest.task == "multi_label"
    if not multi_label:
      number = {name: i for i, name in enumerate(self._manifest.class_names)}
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
        for place, name in enumerate(self._manifest.columns.stored_metadata())
      },
    )

  def _check_rejected(self, tallies: dict[str, SplitTally]) -> None:
    if self._options.on_bad_image == "fail" and self.rejected:
      problems = image_files.bad_images(self._manifest.rows, self.rejected)
      hint = *self._manifest.numbering, image_files.HINT
      raise InputError(problems, "\n".join(hint))
    empty = [split for split, tally in tallies.items() if not tally.images]
    if empty:
      reasons = "; ".join(
        f"row {row}: {reason}"
        for row, (_, reason) in sorted(self.rejected.items())[:5]
      )
      message = (
        f"Expected at least one sound image in each split. Received: none in "
        f"{', '.join(empty)} ({reasons}): check --image_root and the files."
      )
      raise InputError([Problem("empty split", message)])


def _sync_files(folder: Path) -> None:
  """Waits until all files of a folder are on disk."""
  for path in folder.iterdir():
    with open(path, "rb") as file:
      os.fsync(file.fileno())


def _check_bag_size(kept: list[tuple[ManifestRow, bytes]]) -> None:
  if sum(len(data) for _, data in kept) > _MAX_BAG_BYTES:
    row = kept[0][0]
    message = (
      "Expected bags of less than 2 GB of images. Received: "
      f"{counted(len(kept), 'image')} of bag {row.bag!r}: group by a finer "
      "--bag_column, or shrink the images by --max_side."
    )
    raise InputError([Problem("bag too large", message, row.row)])
