"""Listed images: those of a manifest, without labels and without records."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from pathlib import Path

import tqdm

from data.batches import encoded_images
from data.images import image_files, windows
from data.images.image_bytes import BadImageError, decodable_bytes
from data.images.worker_pool import (
  WorkerDiedError,
  WorkerPool,
  default_workers,
)
from data.manifest.manifest import read_manifest
from data.manifest.rows import ALL_FRAMES, ManifestColumns, ManifestRow
from data.problems import InputError, Problem, as_lines
from data.views import file_views

_CHUNK = 8
_PATIENT_COLUMN = "patient_id"


@dataclasses.dataclass(frozen=True)
class ListOptions:
  """Which images; fields are named as their flags are."""

  manifest: str | None
  image_root: str | None
  image_column: str
  patient_column: str | None
  bag_column: str | None
  on_bad_image: str
  unit: str
  eval_batch_size: int
  window: str | None = None
  frames: str = ALL_FRAMES


@dataclasses.dataclass(frozen=True)
class Item:
  """What has one prediction: an image, or all images of a bag.

  Attributes:
    rows: `ManifestRow`s of its images.
    first: position of its first image among those of all items.
  """

  rows: tuple[ManifestRow, ...]
  first: int


class ListedImages:
  """The images of a checked manifest, item by item.

  Attributes:
    items: list of `Item`, in the order of first appearance in the manifest.
    num_images: images of all items, bad ones too.
    digest: hexadecimal; tells one manifest, and one way to read it, from
      another.
    notes: what the user should know though nothing is wrong.
    bad: position to the reason why the image cannot be taken; `batches` adds
      to it what only decoding shows.
  """

  def __init__(self, manifest, files, options, views):
    """See `check_listed`; `files` is `image_files.CheckedFiles`."""
    self._views: file_views.FileViews = views
    self._batch_size = options.eval_batch_size
    # Without patients, a bag of the manifest is a bag whosesoever it is.
    patients = manifest.columns.patient is not None
    groups = {}
    for row in files.rows:
      bag = row.patient if patients else None, row.bag
      image = row.row, row.frame
      keys = {"image": image, "bag": bag, "patient": row.patient}
      key = keys[options.unit]
      groups.setdefault(key, []).append(row)
    self.items, self._paths, self.bad = [], [], {}
    for rows in groups.values():
      named = tuple(_with_frame(row) for row in rows)
      self.items.append(Item(named, len(self._paths)))
      for row in rows:
        if row.row in files.bad:
          self.bad[len(self._paths)] = files.bad[row.row][1]
        self._paths.append((files.paths.get(row.row), row.frame))
    self.num_images = len(self._paths)
    self.notes = (*manifest.notes, *files.notes(views.window))
    self.digest = _digest(options, views)

  def batches(self, first=0):
    """Yields batches of views, from position `first` on; bad images have none.

    Files are read and checked on all cores, a few batches ahead.

    Yields:
      Positions, int64 (b,), in rising order, and views, uint8
      (b, image_size, image_size, 3); NumPy arrays.

    Raises:
      WorkerDiedError: a worker process ended by itself; what was read before
        was yielded.
    """
    deaths = []  # TensorFlow would raise them as errors of its own.
    read = functools.partial(
      _try_read, max_side=self._views.max_side, window=self._views.window
    )
    with WorkerPool(default_workers(), self.num_images - first) as pool:

      def encoded():
        good = (
          (position, self._paths[position])
          for position in range(first, self.num_images)
          if self._paths[position][0] is not None
        )
        try:
          for position, image in pool.ordered_map(read, good, _CHUNK):
            if isinstance(image, BadImageError):
              self.bad[position] = str(image)
            else:
              yield position, image
        except WorkerDiedError as error:
          deaths.append(error)

      yield from encoded_images.batches(
        encoded, self._views, batch_size=self._batch_size
      ).as_numpy_iterator()
    if deaths:
      raise deaths[0]


def _with_frame(row):
  """Returns a row whose image says which frame of the file it is."""
  if row.frame is None:
    return row
  return row._replace(image=f"{row.image} (frame {row.frame + 1})")


def _try_read(place, max_side, window):
  """Reads an image in a worker; a bad one is a result, not a failure."""
  path, frame = place
  try:
    return decodable_bytes(path, max_side, window, frame)
  except BadImageError as error:
    return error


def read_listed(options):
  """Reads and checks a manifest, and where its images are to be looked for.

  Args:
    options: `ListOptions`.

  Returns:
    A `manifest.Manifest`, None where its images cannot be looked for, and a
    list of `Problem`s.
  """
  bad_paths = [Problem("path", told) for told in _bad_paths(options)]
  if not options.manifest:
    return None, bad_paths
  columns = ManifestColumns(
    image=options.image_column,
    patient=options.patient_column or _PATIENT_COLUMN,
    bag=options.bag_column,
    frames=options.frames,
    optional=frozenset(() if options.patient_column else (_PATIENT_COLUMN,)),
  )
  try:
    manifest, problems = read_manifest(Path(options.manifest), columns)
  except InputError as error:
    return None, [*bad_paths, *error.problems]
  if manifest and options.unit == "patient" and not manifest.columns.patient:
    problems.append(
      Problem(
        "column",
        "Expected a column of patients for --unit=patient: patient_id, or "
        "name it by --patient_column. Received: a manifest without it",
      )
    )
  return None if bad_paths else manifest, bad_paths + problems


def check_listed(manifest, options, views, faults=()):
  """Looks at the header of every image file of a manifest.

  Args:
    manifest: as `read_listed` returned it.
    options: `ListOptions`.
    views: `file_views.FileViews`.
    faults: `Problem`s that `read_listed` returned with it.

  Returns:
    `ListedImages`, None where something is wrong, and what is wrong with
    manifest and images, a line each in the order of the rows. Bad images are
    wrong with `on_bad_image` 'fail' only.
  """
  count = len(manifest.rows)
  with WorkerPool(default_workers(), count) as pool:
    files = image_files.check_image_files(
      manifest.rows,
      options.image_root,
      pool,
      functools.partial(
        tqdm.tqdm, desc="Checking images", total=count, unit=" images"
      ),
    )
  problems, hint = [*faults, *files.problems], ""
  if options.on_bad_image == "fail" and files.bad:
    problems += image_files.bad_images(manifest.rows, files.bad)
    hint = f"\n  {image_files.HINT}"
  if not problems:
    return ListedImages(manifest, files, options, views), []
  *lines, last = as_lines(sorted(problems, key=lambda p: p.row or 0))
  return None, [*lines, last + hint]


def _bad_paths(options):
  if not options.manifest:
    yield "Expected --manifest, the CSV file of the images. Received: nothing"
  if not options.image_root or not os.path.isdir(options.image_root):
    yield (
      "Expected --image_root, the folder that the manifest's paths begin in. "
      f"Received: {options.image_root or 'nothing'}"
    )
  problem = options.window and windows.problem(options.window)
  if problem:
    yield problem


def _digest(options, views):
  digest = hashlib.sha256(Path(options.manifest).read_bytes())
  root = os.path.realpath(options.image_root)
  columns = options.image_column, options.patient_column, options.bag_column
  # Bags were those of one id before, of whichever patient.
  unit = ("patient", "bag") if options.unit == "bag" else options.unit
  usual = options.frames == ALL_FRAMES and views.window == windows.FULL
  more = () if usual else (options.frames, views.window)
  digest.update(repr((root, columns, unit, views, *more)).encode())
  return digest.hexdigest()
