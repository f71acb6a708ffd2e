"""From a manifest to a folder of bag TFRecords: check, convert, write, rename.

TensorFlow is imported only when all checks have passed.
"""

from __future__ import annotations

import functools
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tqdm

from data.builder import plan, rejected, report
from data.builder.options import BuildOptions, check_options
from data.builder.tally import ImageTally, SplitTally
from data.images import image_files
from data.images.image_bytes import BadImageError, CleanImage, clean_image
from data.images.worker_pool import WorkerPool, default_workers
from data.manifest import pseudonyms
from data.manifest.manifest import Manifest, scan_manifest
from data.manifest.rows import ManifestRow
from data.problems import InputError, Problem
from data.records import dataset_json
from data.records.dataset_json import DatasetDescription

_CHUNK = 8
# A record is one protocol buffer message, which ends at 2 GiB.
_MAX_BAG_BYTES = 2_000_000_000


@dataclass(frozen=True)
class BuildResult:
  """A finished build.

  Attributes:
    output_dir: the folder written.
    description: what it holds.
    rejected: images left out.
    key_path: where the key of the pseudonyms is.
    notes: what the user should know.
  """

  output_dir: Path
  description: DatasetDescription
  rejected: int
  key_path: Path
  notes: tuple[str, ...]


def build(options: BuildOptions, show_progress: bool = False) -> BuildResult:
  """Builds a data set.

  Args:
    options: what to build from what.
    show_progress: whether to draw progress bars on standard error.

  Raises:
    InputError: with all that is wrong; nothing was written.
    WorkerDiedError: a worker process ended by itself.
    OSError: the output cannot be written.
  """
  problems = check_options(options)
  manifest = None
  if options.manifest:
    try:
      manifest, faults = scan_manifest(
        Path(options.manifest), options.columns()
      )
      problems += faults
    except InputError as error:
      problems += error.problems
  if manifest is None or any(f.row is None for f in problems):
    raise InputError(problems, "The image files were not looked at yet.")
  workers = options.workers or default_workers()
  with WorkerPool(workers, len(manifest.rows)) as pool:
    bar = functools.partial(_progress_bar, show_progress)
    files = image_files.check_image_files(
      manifest.rows,
      options.image_root,
      pool,
      bar("Checking images", len(manifest.rows)),
    )
    problems += files.problems
    if options.on_bad_image == "fail":
      problems += rejected.problems(manifest.rows, files.bad)
    if problems:
      raise InputError(problems, rejected.HINT if files.bad else "")
    split_of = plan.assign_splits(
      manifest, options.split_fractions, options.seed
    )
    return _Build(options, manifest, split_of, files, pool, bar).run()


class _Build:
  """The part of a build that writes."""

  def __init__(self, options, manifest, split_of, files, pool, bar):
    self._options: BuildOptions = options
    self._manifest: Manifest = manifest
    self._paths: dict[int, str] = files.paths
    self._rejected: dict[int, tuple[str, str]] = files.bad
    self._pool: WorkerPool = pool
    self._bar = bar
    self._tally = ImageTally()
    options.output_path.parent.mkdir(parents=True, exist_ok=True)
    self._old_key = pseudonyms.read_key(options.key_path)
    self._key = self._old_key or pseudonyms.new_key()
    self._pseudonyms = pseudonyms.Pseudonyms(self._key)
    self._notes = report.notes_before(options, manifest)
    self._plan = plan.plan_shards(
      manifest,
      split_of,
      self._pseudonyms,
      options.seed,
      options.images_per_shard,
    )

  def run(self) -> BuildResult:
    """Writes to a temporary sibling folder and renames it when all is done."""
    output = self._options.output_path
    folder = output.with_name(f"{output.name}.building-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    try:
      description = self._write(folder)
      self._save_key()  # Before the data: nobody shall have one without it.
      os.rename(folder, output)
    finally:
      shutil.rmtree(folder, ignore_errors=True)
    return BuildResult(
      output_dir=output,
      description=description,
      rejected=len(self._rejected),
      key_path=self._options.key_path,
      notes=(
        *self._notes,
        *report.notes_after(description, self._tally.repeated),
      ),
    )

  def _save_key(self) -> None:
    if self._old_key is None:
      path = self._options.key_path
      path.parent.mkdir(parents=True, exist_ok=True)
      pseudonyms.write_key(path, self._key)

  def _write(self, folder: Path) -> DatasetDescription:
    from data.builder import shards

    options, manifest = self._options, self._manifest
    name = options.dataset_name
    images = self._convert()
    writers, tallies = {}, {}
    for split, planned in self._plan.items():
      tally = SplitTally(manifest.task, manifest.class_names)
      writer = shards.SplitWriter(folder, name, split)
      for bags in planned:
        writer.write_shard(self._records(bags, images, tally))
        tally.end_shard()
      writer.finish()
      writers[split], tallies[split] = writer, tally
    for _ in images:  # Ends the progress bar.
      pass
    self._check_rejected(tallies)
    shards.write_tfds_metadata(
      folder,
      name,
      manifest.task,
      manifest.class_names,
      options.metadata_columns,
      writers,
    )
    dataset_json.save_patients(
      {split: tally.patients for split, tally in tallies.items()}, folder
    )
    if options.on_bad_image == "skip":
      rejected.write_csv(folder / rejected.FILE_NAME, self._rejected)
    description = DatasetDescription(
      name=name,
      task=manifest.task,
      class_names=manifest.class_names,
      splits={
        split: tallies[split].describe(writer.shard_bytes, writer.shard_bags)
        for split, writer in writers.items()
      },
      image_sizes=self._tally.describe(),
      metadata=manifest.metadata_values(),
      key_id=self._pseudonyms.key_id,
      options=options.for_json(
        drawn=manifest.columns.split is None, rejected=len(self._rejected)
      ),
    )
    dataset_json.save(description, folder)
    return description

  def _convert(self) -> Iterator[CleanImage | BadImageError]:
    """Yields the images in the order of the plan."""
    paths = (
      self._paths[row.row]
      for shards in self._plan.values()
      for bags in shards
      for bag in bags
      for row in bag.rows
      if row.row in self._paths
    )
    convert = functools.partial(_try_clean, max_side=self._options.max_side)
    results = self._pool.ordered_map(convert, paths, _CHUNK)
    return iter(self._bar("Converting images", len(self._paths))(results))

  def _records(
    self, bags: list[plan.Bag], images: Iterator, tally: SplitTally
  ) -> Iterator[bytes]:
    """Yields one serialized record for each bag with an image left."""
    from data.records import bag_records

    for bag in bags:
      kept: list[tuple[ManifestRow, bytes]] = []
      for row in bag.rows:
        if row.row not in self._paths:
          continue
        image = next(images)
        if isinstance(image, BadImageError):
          self._rejected[row.row] = "damaged image", str(image)
        else:
          self._tally.add(image, row.row)
          kept.append((row, image.data))
      if not kept:
        continue
      _check_bag_size(kept)
      labels = [row.label for row, _ in kept]
      tally.add(bag.patient, labels)
      yield bag_records.serialize_bag(
        patient_id=bag.patient,
        bag_id=bag.bag,
        patient_key=pseudonyms.patient_key(bag.patient),
        images=[data for _, data in kept],
        rows=[row.row for row, _ in kept],
        metadata={
          name: [row.metadata[place] for row, _ in kept]
          for place, name in enumerate(self._options.metadata_columns)
        },
        **self._label_argument(labels),
      )

  def _label_argument(self, labels: list) -> dict[str, list]:
    if self._manifest.task == "multi_label":
      return {"labels": labels}
    number = {name: i for i, name in enumerate(self._manifest.class_names)}
    return {"label": [number.get(label, -1) for label in labels]}

  def _check_rejected(self, tallies: dict[str, SplitTally]) -> None:
    if self._options.on_bad_image == "fail" and self._rejected:
      problems = rejected.problems(self._manifest.rows, self._rejected)
      raise InputError(problems, rejected.HINT)
    empty = [split for split, tally in tallies.items() if not tally.images]
    if empty:
      reasons = "; ".join(
        f"row {row}: {reason}"
        for row, (_, reason) in sorted(self._rejected.items())[:5]
      )
      message = (
        f"Expected at least one sound image in each split. Received none in "
        f"{', '.join(empty)} ({reasons}): check --image_root and the files."
      )
      raise InputError([Problem("empty split", message)])


def _progress_bar(show: bool, description: str, total: int):
  return functools.partial(
    tqdm.tqdm,
    desc=description,
    total=total,
    unit="image",
    disable=not show,
    mininterval=1.0,
    smoothing=0.05,
  )


def _try_clean(path: str, max_side: int) -> CleanImage | BadImageError:
  """Converts an image in a worker; a bad one is a result, not a failure."""
  try:
    return clean_image(path, max_side)
  except BadImageError as error:
    return error


def _check_bag_size(kept: list[tuple[ManifestRow, bytes]]) -> None:
  if sum(len(data) for _, data in kept) > _MAX_BAG_BYTES:
    row = kept[0][0]
    message = (
      f"Expected bags of less than 2 GB of images. Received {len(kept)} images "
      f"of bag {row.bag!r}: group by a finer --bag_column, or shrink the "
      "images by --max_side."
    )
    raise InputError([Problem("bag too large", message, row.row)])
