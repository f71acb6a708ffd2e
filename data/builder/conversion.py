"""Conversion of a build's images, on all cores, in the order of the plan."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping

from data.images.image_bytes import BadImageError, CleanImage, clean_image
from data.images.worker_pool import WorkerPool
from data.manifest.rows import ManifestRow

_CHUNK = 8

# A bad image is a result, not a failure.
Converted = tuple[ManifestRow, "CleanImage | BadImageError"]


def converted(
  rows: Iterable[ManifestRow],
  paths: Mapping[int, str],
  max_side: int,
  window: str,
  pool: WorkerPool,
) -> Iterator[Converted]:
  """Yields each row with its image, in the order of the rows.

  Args:
    rows: of the manifest.
    paths: of the images, by row number.
    max_side: larger images are shrunk to this many pixels.
    window: as `--window`.
    pool: does the work.
  """
  return pool.ordered_map(
    functools.partial(_try_clean, max_side=max_side, window=window),
    ((row, (paths[row.row], row.frame)) for row in rows),
    _CHUNK,
  )


def next_of(
  rows: Iterable[ManifestRow], images: Iterator[Converted]
) -> Iterator[Converted]:
  """Takes the images of `rows` from the stream of all images.

  Raises:
    RuntimeError: the stream is at other rows; an image under another patient
      must never be written.
  """
  for row in rows:
    came, image = next(images, (None, None))
    if came is not row:
      raise RuntimeError(
        f"Expected the image of row {row.row}. Received: "
        f"{f'that of row {came.row}' if came else 'no more images'}."
      )
    yield row, image


def _try_clean(
  place: tuple[str, int | None], max_side: int, window: str
) -> CleanImage | BadImageError:
  path, frame = place
  try:
    return clean_image(path, max_side, window, frame)
  except BadImageError as error:
    return error
