"""Writing of a planned data set: convert, write, rename.

TensorFlow is imported only when all checks have passed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from data.builder import conversion, plan, rejected, temporary_folder
from data.builder.beam_pool import BeamPool
from data.builder.options import BuildOptions
from data.builder.tally import ImageOutcome, ImageTally, SplitTally
from data.images import image_files
from data.images.image_files import CheckedFiles
from data.images.worker_pool import WorkerPool
from data.manifest import pseudonyms
from data.manifest.manifest import Manifest
from data.manifest.rows import ManifestRow
from data.problems import InputError, Problem
from data.records import dataset_json
from data.records.dataset_json import DatasetDescription


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
    pool: WorkerPool | BeamPool,
    bar: Callable,
  ):
    """Takes what to write; does nothing yet.

    Args:
      options: as they were checked.
      manifest: without problems.
      planned: what `plan.plan_shards` returned.
      key_file: the key of the plan's pseudonyms.
      files: the image files; the bad ones are left out.
      pool: converts the images; one of Beam's writes the shards, too.
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
    with temporary_folder.sibling(output) as folder:
      description = self._write(folder)
      _sync_files(folder)
      # Before the data: nobody shall have these without the key.
      self._key_file.save()
      os.rename(folder, output)
    return description

  def _write(self, folder: Path) -> DatasetDescription:
    from data.builder import shards

    options, manifest = self._options, self._manifest
    name = options.dataset_name
    writers = {s: shards.SplitWriter(folder, name, s) for s in self._plan}
    columns = manifest.columns.stored_metadata()
    tallies = {
      split: SplitTally(manifest.task, manifest.class_names, columns)
      for split in self._plan
    }
    if isinstance(self._pool, BeamPool):
      written = self._write_by_beam(folder / "parts")
    else:
      written = self._write_here(writers)
    # Closing ends the progress bar, before anything else is printed.
    with contextlib.closing(written):
      for split, bags, path, (shard, outcomes) in written:
        writers[split].take(path, shard)
        for bag, of_bag in zip(bags, outcomes):
          self._count(bag, of_bag, tallies[split])
    for writer in writers.values():
      writer.finish()
    self._check_rejected(tallies)
    shards.write_tfds_metadata(
      folder,
      name,
      manifest.task,
      manifest.class_names,
      columns,
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
        split: tally.describe(
          writers[split].shards,
          ((b.patient, b.rows) for bags in self._plan[split] for b in bags),
          self.rejected,
        )
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

  def _shards(self) -> Iterator[tuple[str, list[plan.Bag]]]:
    """Yields (split, bags) in the order of the plan, less unsound images."""
    for split, planned in self._plan.items():
      for bags in planned:
        yield split, [b._replace(rows=self._sound(b.rows)) for b in bags]

  def _write_here(self, writers) -> Iterator[tuple]:
    """Yields (split, bags, path, what was written) of each shard, in order."""
    from data.builder import shard_writing

    options = self._options
    rows = (row for _, bags in self._shards() for b in bags for row in b.rows)
    images = conversion.converted(
      rows, self._paths, options.max_side, options.window, self._pool
    )
    total = len(self._sound(self._manifest.rows))
    images = iter(self._bar("Converting images", total)(images))
    with contextlib.closing(images):
      for split, bags in self._shards():
        path = writers[split].next_part()
        written = shard_writing.write_shard(path, bags, images, self._manifest)
        yield split, bags, path, written
      for _ in images:  # None is left; the bar goes to its end.
        pass

  def _write_by_beam(self, parts: Path) -> Iterator[tuple]:
    """As `_write_here`; workers write whole shards to the folder `parts`."""
    from data.builder import shard_writing

    parts.mkdir()
    write = functools.partial(
      shard_writing.convert_and_write,
      manifest=dataclasses.replace(self._manifest, rows=[], notes=()),
      max_side=self._options.max_side,
      window=self._options.window,
    )
    work = (
      ((split, bags), (parts / str(number), *self._work(bags)))
      for number, (split, bags) in enumerate(self._shards())
    )
    total = sum(len(planned) for planned in self._plan.values())
    done = self._bar("Writing files", total)(
      self._pool.ordered_map(write, work, 1)
    )
    for number, ((split, bags), written) in enumerate(done):
      yield split, bags, parts / str(number), written
    shutil.rmtree(parts)  # With what attempts that failed left there.

  def _work(self, bags: list[plan.Bag]) -> tuple[list[plan.Bag], dict]:
    """Returns bags and paths as a worker needs them: no id of the manifest."""
    no_ids = {"image": "", "patient": "", "bag": ""}
    bare = [
      bag._replace(rows=[row._replace(**no_ids) for row in bag.rows])
      for bag in bags
    ]
    rows = (row.row for bag in bags for row in bag.rows)
    return bare, {row: self._paths[row] for row in rows}

  def _count(
    self, bag: plan.Bag, outcomes: list[ImageOutcome], tally: SplitTally
  ) -> None:
    """Counts a bag, and what became of its images."""
    kept = []
    for row, outcome in zip(bag.rows, outcomes):
      if outcome.reason:
        self.rejected[row.row] = "damaged image", outcome.reason
      else:
        self._images.add(outcome, row.row)
        kept.append(row)
    if kept:
      tally.add(bag.patient, kept)

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
