"""Conversion of one image file to clean JPEG or PNG bytes.

Clean: upright, 8 bits a channel, gray or RGB, no longer than wanted, and
without metadata. Imports neither TensorFlow nor anything that does: worker
processes start in here.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from data.images import deep_pixels, dicom
from data.images.jpeg_segments import NotCopyableError, strip_jpeg

# Pillow would run external programs for some others. MPO opens as JPEG.
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
_KINDS = "JPEG, PNG, BMP, TIFF, WebP, GIF or PPM"
_JPEG_QUALITY = 95
_LOSSY_TIFF = frozenset({"jpeg", "tiff_jpeg", "webp"})
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}
# Shrinking by whole numbers first, to no less than three times the target,
# cannot be told from filtering at full size, and is several times faster.
_REDUCING_GAP = 3.0


class CleanImage(NamedTuple):
  """An image as it is stored.

  Attributes:
    data: a JPEG or PNG file.
    width: in pixels.
    height: in pixels.
  """

  data: bytes
  width: int
  height: int


class BadImageError(ValueError):
  """An image that cannot be stored; the message holds no file name."""


def check_header(path: str | os.PathLike) -> None:
  """Opens an image file and reads its header, not its pixels.

  Raises:
    BadImageError: it is no image, or one that cannot be stored (several
      pictures, floating-point pixels, DICOM).
  """
  with _explained(path), Image.open(path, formats=FORMATS) as image:
    _reject_kind(image)


def clean_image(path: str | os.PathLike, max_side: int) -> CleanImage:
  """Reads, checks and cleans an image file.

  The pixels are decoded in full, so that truncated files are found. A JPEG
  that is upright and small enough is copied without coding it again.

  Args:
    path: a single-picture JPEG, PNG, BMP, TIFF, WebP, GIF or PPM file. Of an
      MPO (stereo JPEG) the first picture is taken.
    max_side: largest width and height in pixels; larger images are shrunk.

  Returns:
    The image; PNG for lossless sources, JPEG (quality 95, 4:4:4) for others.
    Gray images keep one channel. Transparent pixels are laid on white. 16-bit
    values are divided by 257 and rounded.

  Raises:
    BadImageError: with the reason.
  """
  with _explained(path):
    return _clean(Path(path).read_bytes(), max_side)


def decodable_bytes(path: str | os.PathLike | bytes, max_side: int) -> bytes:
  """Reads and checks an image file, for a decoder that knows few formats.

  Args:
    path: as in `clean_image`, or the bytes of such a file.
    max_side: as in `clean_image`, for what has to be coded anew.

  Returns:
    The file's own bytes if it is a PNG, or a JPEG that TensorFlow decodes; the
    image as it is stored otherwise.

  Raises:
    BadImageError: as `clean_image`.
  """
  with _explained(path):
    source = path if isinstance(path, bytes) else Path(path).read_bytes()
    return _decodable(source, max_side)


def _decodable(source: bytes, max_side: int) -> bytes:
  with Image.open(io.BytesIO(source), formats=FORMATS) as image:
    _reject_kind(image)
    if image.format == "PNG" and _is_sound_png(source):
      image.load()
      return source
    if image.format in ("JPEG", "MPO"):
      with contextlib.suppress(NotCopyableError):
        strip_jpeg(source)
        # An eighth of the size shows as well whether it can be decoded.
        image.draft(None, (1, 1))
        image.load()
        return source
  return _clean(source, max_side).data


def _is_sound_png(source: bytes) -> bool:
  """Whether all checksums hold; Pillow decodes without them, others do not."""
  try:
    with Image.open(io.BytesIO(source), formats=("PNG",)) as image:
      image.verify()
  except Exception:  # decoders raise all sorts
    return False
  return True


def _clean(source: bytes, max_side: int) -> CleanImage:
  with Image.open(io.BytesIO(source), formats=FORMATS) as image:
    _reject_kind(image)
    # PNG looks for EXIF behind the pixels, and loads them to do so.
    deep_colour = deep_pixels.is_deep_colour(image)
    orientation = _orientation(image)
    lossy = _is_lossy(image, source)
    is_jpeg = image.format in ("JPEG", "MPO")
    scale = min(1.0, max_side / max(image.size))
    if is_jpeg and scale == 1.0 and orientation == 1:
      image.load()
      try:
        return CleanImage(strip_jpeg(source), *image.size)
      except NotCopyableError:
        pass  # It decodes, so it can be coded again.
    # TIFF's loader turns the image upright, so measure before it.
    size = tuple(max(1, round(side * scale)) for side in image.size)
    box = None
    if is_jpeg and scale < 1:
      larger = tuple(int(side * _REDUCING_GAP) for side in size)
      _, box = image.draft(None, larger) or (None, None)
    pixels = _gray_or_rgb(_load(image, source, deep_colour))
    if scale < 1:
      pixels = pixels.resize(
        size, Image.Resampling.LANCZOS, box, reducing_gap=_REDUCING_GAP
      )
    if orientation in _UPRIGHT and image.format != "TIFF":
      pixels = pixels.transpose(_UPRIGHT[orientation])
  return _encode(pixels, lossy)


def _load(image: Image.Image, source: bytes, deep_colour: bool) -> Image.Image:
  """Returns the image with its pixels, in 8 bits a channel."""
  if deep_colour:
    with Image.open(io.BytesIO(source), formats=FORMATS) as again:
      return deep_pixels.colour_to_eight_bits(image, again)
  image.load()
  if image.mode.startswith("I"):
    try:
      return deep_pixels.gray_to_eight_bits(image)
    except ValueError as error:
      raise BadImageError(str(error)) from error
  return image


def _reject_kind(image: Image.Image) -> None:
  """Refuses what its header shows to be no picture that can be stored."""
  if image.mode == "F":
    raise BadImageError(
      "its pixels are floating-point numbers: convert it to 8 or 16 bits"
    )
  # To count pictures is slow; whether there is a second one is known at once.
  if getattr(image, "is_animated", False) and image.format != "MPO":
    raise BadImageError(
      f"it holds {image.n_frames} pictures (pages or frames): store each in "
      "a file of its own"
    )


def _orientation(image: Image.Image) -> int:
  """Returns the EXIF orientation, 1 to 8; 1 where there is none."""
  try:
    value = image.getexif().get(_ORIENTATION_TAG, 1)
  except Exception:  # broken metadata of a sound picture
    return 1
  return value if value in range(1, 9) else 1


def _is_lossy(image: Image.Image, source: bytes) -> bool:
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


def _gray_or_rgb(image: Image.Image) -> Image.Image:
  """Returns a loaded image in mode L or RGB."""
  if image.mode in ("L", "RGB") and not image.has_transparency_data:
    return image
  if image.has_transparency_data:
    gray = image.mode in ("1", "L", "LA", "La")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("L" if gray else "RGB")
  return image.convert("L" if image.mode == "1" else "RGB")


def _encode(pixels: Image.Image, lossy: bool) -> CleanImage:
  # Pillow's writers copy comments, profiles and transparency from `info`.
  clean = Image.fromarray(np.asarray(pixels))
  buffer = io.BytesIO()
  if lossy:
    clean.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
  else:
    clean.save(buffer, "PNG")
  return CleanImage(buffer.getvalue(), *clean.size)


@contextlib.contextmanager
def _explained(source: str | os.PathLike | bytes) -> Iterator[None]:
  """Raises what decoders raise as a `BadImageError`, and hides warnings."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      yield
  except Exception as error:  # decoders raise all sorts
    raise _explain(error, source) from error


def _explain(
  error: Exception, source: str | os.PathLike | bytes
) -> BadImageError:
  """Returns the error with a reason that names no file."""
  if isinstance(error, BadImageError):
    return error
  if isinstance(error, UnidentifiedImageError):
    if dicom.is_dicom(_head(source)):
      return BadImageError(dicom.ADVICE)
    return BadImageError(f"it is damaged, or not {_KINDS}")
  if isinstance(error, Image.DecompressionBombError):
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return BadImageError(
      f"it has more than {limit} pixels, and may be made to exhaust memory"
    )
  if isinstance(error, MemoryError):
    return BadImageError("there is not enough memory to decode it")
  if isinstance(error, OSError) and error.errno is not None:
    return BadImageError(f"it cannot be read ({error.strerror})")
  # Decoders quote what they read: their text could tell what is in the file.
  truncated = "truncated" in str(error).lower()
  reason = "truncated" if truncated else type(error).__name__
  return BadImageError(f"it is damaged ({reason})")


def _head(source: str | os.PathLike | bytes) -> bytes:
  if isinstance(source, bytes):
    return source[: dicom.HEAD_BYTES]
  with open(source, "rb") as file:
    return file.read(dicom.HEAD_BYTES)
