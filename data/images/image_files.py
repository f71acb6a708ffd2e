"""Checks of the image files that a manifest names: places and headers."""

from __future__ import annotations

import functools
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from data.images import windows
from data.images.dicom import FileFacts
from data.images.image_bytes import BadImageError, check_header
from data.images.worker_pool import WorkerPool
from data.manifest import frames
from data.manifest.rows import ManifestRow
from data.problems import Problem, counted, first_rows

HINT = (
  "Images that cannot be read: mend or remove them, or leave them out by "
  "--on_bad_image=skip."
)
_CHUNK = 64
_REMARKS = {
  "burned_in": (
    "with annotation burned into the pixels, by their headers; it may name the "
    "patient, and stays: look, and mask or remove."
  ),
  "overlays": "with graphic overlays, which were left out.",
  "without_window": (
    "of more than 8 bits without a window: each image was stretched from its "
    "darkest to its brightest pixel (--window has other ways)."
  ),
}
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class ImageFile(NamedTuple):
  """Where an image is, and what is wrong with it.

  Attributes:
    path: real path, symbolic links followed; '' when it leaves the root.
    kind: name of the problem, '' when there is none.
    reason: why, without naming a file.
    facts: of a sound one.
  """

  path: str
  kind: str = ""
  reason: str = ""
  facts: FileFacts = FileFacts()


class CheckedFiles(NamedTuple):
  """The outcome of `check_image_files`.

  Attributes:
    rows: a row an image: those of files with several frames once for each
      frame that is meant.
    paths: real path of each row's image, by row number; sound ones only.
    bad: problems of image files (missing, not readable, not one image) as
      {row number: (kind, reason)}.
    problems: problems of the manifest: paths that leave the image root, images
      that are listed twice, frames that a file does not have.
    remarks: rows of files that a user should know something of, by the name
      of the remark.
  """

  rows: list[ManifestRow]
  paths: dict[int, str]
  bad: dict[int, tuple[str, str]]
  problems: list[Problem]
  remarks: dict[str, list[int]]

  def notes(self, window: str) -> Iterator[str]:
    """Yields what the user should know though nothing is wrong."""
    several = {row.row for row in self.rows if row.frame is not None}
    if several:
      images = sum(row.row in several for row in self.rows)
      yield (
        f"{counted(len(several), 'row')} of DICOM files with several frames "
        f"gave {counted(images, 'image')} (--frames chooses)."
      )
    for name, told in _REMARKS.items():
      found = self.remarks.get(name)
      if found and (name != "without_window" or window == windows.FULL):
        yield (
          f"{counted(len(found), 'DICOM file')} {told} Row {first_rows(found)}."
        )


def check_image_files(
  rows: Sequence[ManifestRow],
  image_root: str,
  pool: WorkerPool,
  progress=lambda results: results,
) -> CheckedFiles:
  """Opens every image file and reads its header.

  Args:
    rows: of the manifest.
    image_root: folder that all images must be in, links followed.
    pool: does the work.
    progress: wraps the iterable of results, for a progress bar.
  """
  check = functools.partial(_check_one, root=os.path.realpath(image_root))
  results: Iterable[tuple[ManifestRow, ImageFile]] = progress(
    pool.ordered_map(check, ((row, row.image) for row in rows), _CHUNK)
  )
  found, paths, bad, problems, remarks = [], {}, {}, [], {}
  owners: dict[str, ManifestRow] = {}
  first_row: dict[tuple[str, str], ManifestRow] = {}
  for row, file in results:
    if not file.path:
      message = (
        f"Expected an image inside --image_root. Received: {row.image!r}, "
        f"{file.reason}."
      )
      problems.append(Problem(file.kind, message, row.row))
      continue
    owner = owners.setdefault(file.path, row)
    first = first_row.setdefault((file.path, row.frames), row)
    if owner.patient != row.patient or first is not row:
      same = owner.patient == row.patient
      problems.append(_listed_twice(row, first if same else owner))
    elif file.kind:
      bad[row.row] = file.kind, file.reason
      found.append(row)
    else:
      images = _of_frames(row, file.facts.frames)
      if not images:
        problems.append(_no_such_frame(row, file.facts.frames))
      found += images
      paths[row.row] = file.path
      for remark in file.facts.remarks:
        remarks.setdefault(remark, []).append(row.row)
  return CheckedFiles(found, paths, bad, problems, remarks)


def _of_frames(row: ManifestRow, count: int) -> list[ManifestRow]:
  numbers = frames.chosen(row.frames, count)
  return [row._replace(frame=n if count > 1 else None) for n in numbers]


def _no_such_frame(row: ManifestRow, count: int) -> Problem:
  message = (
    f"Expected one of the {counted(count, 'frame')} of {row.image!r}. "
    f"Received: frame {row.frames}."
  )
  return Problem("bad frame", message, row.row)


def bad_images(
  rows: Iterable[ManifestRow], bad: Mapping[int, tuple[str, str]]
) -> list[Problem]:
  """Returns a problem for each bad image, given {row: (kind, reason)}.

  `HINT` says what to do about them all.
  """
  return [
    Problem(
      bad[row.row][0],
      f"Expected an image in {row.image!r}. Received: {bad[row.row][1]}.",
      row.row,
    )
    for row in {row.row: row for row in rows}.values()
    if row.row in bad
  ]


def _check_one(image: str, root: str) -> ImageFile:
  """Finds and checks one image; `root` is a real path."""
  try:
    path = _find(image, root)
  except ValueError:  # a NUL character
    path = None
  if path is None:
    return ImageFile("", "path outside the image root", "which leads out of it")
  try:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
      what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
      return ImageFile(path, "not a file", f"it is {what}")
    facts = check_header(path)
  except FileNotFoundError:
    return ImageFile(path, "missing image file", "there is no such file")
  except OSError as error:
    reason = f"it cannot be read ({error.strerror})"
    return ImageFile(path, "unreadable image file", reason)
  except BadImageError as error:
    return ImageFile(path, "unreadable image file", str(error))
  return ImageFile(path, facts=facts)


def _find(image: str, root: str) -> str | None:
  """Returns the real path, None if it is outside of `root`.

  Windows separators and the other Unicode form (macOS writes accents as two
  characters) are tried where the path as given does not exist.
  """
  if _DRIVE.match(image):
    return None
  names = dict.fromkeys((image, image.replace("\\", "/")))
  names = dict.fromkeys(
    unicodedata.normalize(form, name) if form else name
    for form in ("", "NFC", "NFD")
    for name in names
  )
  paths = [os.path.realpath(os.path.join(root, name)) for name in names]
  inside = [p for p in paths if os.path.commonpath([root, p]) == root]
  if len(inside) < len(paths):
    return None
  return next((path for path in inside if os.path.exists(path)), inside[0])


def _listed_twice(row: ManifestRow, first: ManifestRow) -> Problem:
  if row.patient != first.patient:
    message = (
      f"Expected each image under one patient. Received: {row.image!r} under "
      f"{row.patient!r} here and under {first.patient!r} in row {first.row}."
    )
    return Problem("image of two patients", message, row.row)
  message = (
    f"Expected each image once. Received: {row.image!r} again, which row "
    f"{first.row} lists already: remove one of the rows."
  )
  return Problem("duplicate image", message, row.row)
