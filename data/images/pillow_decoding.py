"""Decoding of image files by Pillow, whose errors become reasons.

Imports no TensorFlow, as `image_bytes`.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from data.images import dicom

# Pillow would run external programs for some others. MPO opens as JPEG.
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
_KINDS = "JPEG, PNG, BMP, TIFF, WebP, GIF, PPM or DICOM"


_LOSSY_TIFF = frozenset({"jpeg", "tiff_jpeg", "webp"})


class BadImageError(ValueError):
  """An image that cannot be stored; the message holds no file name."""


def read_bytes(path: str | os.PathLike) -> bytes:
  """Returns what is in a file.

  Raises:
    BadImageError: the system refuses it.
  """
  with explained(OSError):
    return Path(path).read_bytes()


def read_head(source: str | os.PathLike | bytes) -> bytes:
  """Returns the first `dicom.HEAD_BYTES` of a file, or of its bytes.

  Raises:
    BadImageError: the system refuses it.
  """
  if isinstance(source, bytes):
    return source[: dicom.HEAD_BYTES]
  with explained(OSError), open(source, "rb") as file:
    return file.read(dicom.HEAD_BYTES)


def open_image(source: str | os.PathLike | bytes) -> Image.Image:
  """Opens a file, or the bytes of one, and reads its header.

  Raises:
    BadImageError: it is damaged, or of no format that is known here.
  """
  file = io.BytesIO(source) if isinstance(source, bytes) else source
  with explained():
    try:
      return Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as error:
      advice = dicom.advice(read_head(source))
      if advice:
        raise BadImageError(advice) from error
      raise


def load(image: Image.Image) -> None:
  """Decodes the pixels of an opened image.

  Raises:
    BadImageError: they are damaged.
  """
  with explained():
    image.load()


def is_lossy(image: Image.Image, source: bytes) -> bool:
  """Returns whether the compression of an opened image loses something."""
  if image.format == "TIFF":
    return image.info.get("compression") in _LOSSY_TIFF
  if image.format == "WEBP":
    return _is_lossy_webp(source)
  return image.format in ("JPEG", "MPO")


def _is_lossy_webp(source: bytes) -> bool:
  position = 12  # behind 'RIFF', the length, 'WEBP'
  while position + 8 <= len(source):
    chunk = source[position : position + 4]
    if chunk in (b"VP8 ", b"VP8L"):
      return chunk == b"VP8 "
    length = int.from_bytes(source[position + 4 : position + 8], "little")
    position += 8 + length + length % 2
  return True


@contextlib.contextmanager
def explained(kind: type[Exception] = Exception) -> Iterator[None]:
  """Raises what decoders raise as a `BadImageError`, and hides warnings.

  Nothing of ours is to run inside by the default `kind`: decoders raise all
  sorts, and a fault of the program would be told as a damaged image.
  """
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      yield
  except BadImageError:
    raise
  except kind as error:
    raise BadImageError(_reason(error)) from error


def _reason(error: Exception) -> str:
  """Returns why an image cannot be stored; names no file."""
  if isinstance(error, UnidentifiedImageError):
    return f"it is damaged, or not {_KINDS}"
  if isinstance(error, Image.DecompressionBombError):
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return f"it has more than {limit} pixels, and may be made to exhaust memory"
  if isinstance(error, MemoryError):
    return "there is not enough memory to decode it"
  if isinstance(error, OSError) and error.errno is not None:
    return f"it cannot be read ({error.strerror})"
  # Decoders quote what they read: their text could tell what is in the file.
  truncated = "truncated" in str(error).lower()
  return f"it is damaged ({'truncated' if truncated else type(error).__name__})"
