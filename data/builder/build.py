"""Build of a data set from a manifest: all checks, then the writing."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import tqdm

from data.builder import plan, report
from data.builder.beam_pool import BeamPool
from data.builder.options import BuildOptions, check_options
from data.builder.report import BuildResult
from data.builder.writing import Writing
from data.images import image_files
from data.images.worker_pool import WorkerPool, default_workers
from data.manifest import pseudonyms
from data.manifest.manifest import Manifest, read_manifest
from data.problems import InputError, Problem

_NOT_LOOKED = "The image files were not looked at yet."


def build(options: BuildOptions, show_progress: bool = False) -> BuildResult:
  """Builds a data set.

  Args:
    options: what to build from what.
    show_progress: whether to draw progress bars on standard error.

  Raises:
    InputError: with all that is wrong; nothing was written.
    WorkerDiedError: a worker process ended by itself.
    BeamError: Beam's job failed.
    OSError: the output cannot be written.
  """
  manifest, split_of, problems = _check_without_images(options)
  with _pool(options, len(manifest.rows)) as pool:
    bar = functools.partial(_progress_bar, show_progress)
    files = image_files.check_image_files(
      manifest.rows,
      options.image_root,
      pool,
      bar("Checking images", len(manifest.rows)),
    )
    problems += files.problems
    if options.on_bad_image == "fail":
      problems += image_files.bad_images(manifest.rows, files.bad)
    if problems:
      hint = list(manifest.numbering)
      if files.bad and options.on_bad_image == "fail":
        hint.append(image_files.HINT)
      raise InputError(problems, "\n".join(hint))
    manifest = dataclasses.replace(manifest, rows=files.rows)
    key_file = pseudonyms.open_key(options.key_path)
    planned = plan.plan_shards(
      manifest,
      split_of,
      pseudonyms.Pseudonyms(key_file.key),
      options.seed,
      options.images_per_shard,
    )
    notes = report.notes_before(options, manifest)
    notes += files.notes(options.window)
    writing = Writing(options, manifest, planned, key_file, files, pool, bar)
    description = writing.run()
  return BuildResult(
    output_dir=options.output_path,
    description=description,
    rejected=len(writing.rejected),
    key_path=options.key_path,
    notes=(*notes, *report.notes_after(description, writing.repeated)),
  )


def _check_without_images(
  options: BuildOptions,
) -> tuple[Manifest, dict[str, str], list[Problem]]:
  """Checks all that needs no look at an image file.

  Returns:
    The manifest, the split of each patient, and what is wrong with single rows
    of the manifest: their image files are looked at all the same, for one
    report. Where there are problems, no patient has a split.

  Raises:
    InputError: with all that is wrong, where anything is but single rows.
  """
  problems = check_options(options)
  manifest, split_of = None, {}
  try:
    if options.manifest:
      manifest, more = read_manifest(
        Path(options.manifest),
        options.columns(),
        options.reshape,
        options.image_root,
      )
      problems += more
    if not problems:
      split_of = plan.assign_splits(
        manifest, options.split_fractions, options.seed
      )
  except InputError as error:
    problems += error.problems
  if any(problem.row is None for problem in problems) or manifest is None:
    note = *(manifest.numbering if manifest else ()), _NOT_LOOKED
    raise InputError(problems, "\n".join(note))
  return manifest, split_of, problems


def _pool(options: BuildOptions, images: int) -> WorkerPool | BeamPool:
  if options.runner == "beam":
    return BeamPool(
      options.beam_options, options.output_path, options.image_root
    )
  return WorkerPool(options.workers or default_workers(), images)


def _progress_bar(show: bool, description: str, total: int):
  return functools.partial(
    tqdm.tqdm,
    desc=description,
    total=total,
    unit=" images",
    disable=not show,
    mininterval=1.0,
    smoothing=0.05,
  )
