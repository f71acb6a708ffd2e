"""Conversion of one image file to clean JPEG or PNG bytes.

Clean: upright, 8 bits a channel, gray or RGB, no longer than wanted, and
without metadata. Imports neither TensorFlow nor anything that does: worker
processes start in here.
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from data.images import deep_pixels, dicom, windows
from data.images.jpeg_segments import NotCopyableError, strip_jpeg
from data.images.pillow_decoding import (
  BadImageError,
  explained,
  is_lossy,
  load,
  open_image,
  read_bytes,
  read_head,
)

_JPEG_QUALITY = 95
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


def check_header(path: str | os.PathLike) -> dicom.FileFacts:
  """Opens an image file and reads its header, not its pixels.

  Raises:
    BadImageError: it is no image, or one that cannot be stored (several
      pages, floating-point pixels, a DICOM file of a form that is not read).
  """
  if dicom.is_dicom(read_head(path)) and dicom.is_read():
    from data.images import dicom_header  # Imports pydicom.

    return dicom_header.check(path)
  with open_image(path) as image:
    _reject_kind(image)
  return dicom.FileFacts()


def clean_image(
  path: str | os.PathLike,
  max_side: int,
  window: str = windows.FULL,
  frame: int | None = None,
) -> CleanImage:
  """Reads, checks and cleans an image file.

  The pixels are decoded in full, so that truncated files are found. A JPEG
  that is upright and small enough is copied without coding it again.

  Args:
    path: a single-picture JPEG, PNG, BMP, TIFF, WebP, GIF or PPM file, or a
      DICOM file. Of an MPO (stereo JPEG) the first picture is taken.
    max_side: largest width and height in pixels; larger images are shrunk.
    window: as `--window`, of gray DICOM files, PNG and TIFF of more than 8
      bits.
    frame: of a DICOM file, from 0; None: the only one.

  Returns:
    The image; PNG for lossless sources and DICOM, JPEG (quality 95, 4:4:4) for
    others. Gray images keep one channel. Transparent pixels are laid on white.
    16-bit values are divided by 257 and rounded, where no window is named.

  Raises:
    BadImageError: with the reason.
  """
  with explained(MemoryError):
    if dicom.is_dicom(read_head(path)):
      return _clean_dicom(path, max_side, window, frame)
    return _clean(read_bytes(path), max_side, window)


def decodable_bytes(
  path: str | os.PathLike | bytes,
  max_side: int,
  window: str = windows.FULL,
  frame: int | None = None,
) -> bytes:
  """Reads and checks an image file, for a decoder that knows few formats.

  Args:
    path: as in `clean_image`, or the bytes of such a file.
    max_side: as in `clean_image`, for what has to be coded anew.
    window, frame: as in `clean_image`.

  Returns:
    The file's own bytes if it is a PNG, or a JPEG that TensorFlow decodes; the
    image as it is stored otherwise.

  Raises:
    BadImageError: as `clean_image`.
  """
  with explained(MemoryError):
    if dicom.is_dicom(read_head(path)):
      return _clean_dicom(path, max_side, window, frame).data
    source = path if isinstance(path, bytes) else read_bytes(path)
    return _decodable(source, max_side, window)


def _clean_dicom(
  source: str | os.PathLike | bytes,
  max_side: int,
  window: str,
  frame: int | None,
) -> CleanImage:
  from data.images import dicom_pixels  # Imports pydicom.

  pixels = dicom_pixels.read_frame(source, frame, window)
  scale = max_side / max(pixels.size)
  if scale < 1:
    pixels = _resized(pixels, _scaled(pixels.size, scale))
  return _encode(pixels, lossy=False)


def _decodable(source: bytes, max_side: int, window: str) -> bytes:
  with open_image(source) as image:
    _reject_kind(image)
    windowed = window != windows.FULL and image.mode.startswith("I")
    if image.format == "PNG" and not windowed and _is_sound_png(source):
      load(image)
      return source
    if image.format in ("JPEG", "MPO"):
      with contextlib.suppress(NotCopyableError):
        strip_jpeg(source)
        # An eighth of the size shows as well whether it can be decoded.
        image.draft(None, (1, 1))
        load(image)
        return source
  return _clean(source, max_side, window).data


def _is_sound_png(source: bytes) -> bool:
  """Whether all checksums hold; Pillow decodes without them, others do not."""
  try:
    with Image.open(io.BytesIO(source), formats=("PNG",)) as image:
      image.verify()
  except Exception:  # decoders raise all sorts
    return False
  return True


def _clean(source: bytes, max_side: int, window: str) -> CleanImage:
  with open_image(source) as image:
    _reject_kind(image)
    # PNG looks for EXIF behind the pixels, and loads them to do so.
    deep_colour = deep_pixels.is_deep_colour(image)
    orientation = _orientation(image)
    lossy = is_lossy(image, source)
    is_jpeg = image.format in ("JPEG", "MPO")
    scale = min(1.0, max_side / max(image.size))
    if is_jpeg and scale == 1.0 and orientation == 1:
      load(image)
      try:
        return CleanImage(strip_jpeg(source), *image.size)
      except NotCopyableError:
        pass  # It decodes, so it can be coded again.
    # TIFF's loader turns the image upright, so measure before it.
    size = _scaled(image.size, scale)
    box = None
    if is_jpeg and scale < 1:
      larger = tuple(int(side * _REDUCING_GAP) for side in size)
      _, box = image.draft(None, larger) or (None, None)
    load(image)
    pixels = _gray_or_rgb(_eight_bits(image, source, deep_colour, window))
    if scale < 1:
      pixels = _resized(pixels, size, box)
    if orientation in _UPRIGHT and image.format != "TIFF":
      pixels = pixels.transpose(_UPRIGHT[orientation])
  return _encode(pixels, lossy)


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
  width, height = (max(1, round(side * scale)) for side in size)
  return width, height


def _resized(
  pixels: Image.Image, size: tuple[int, int], box=None
) -> Image.Image:
  return pixels.resize(
    size, Image.Resampling.LANCZOS, box, reducing_gap=_REDUCING_GAP
  )


def _eight_bits(
  image: Image.Image, source: bytes, deep_colour: bool, window: str
) -> Image.Image:
  """Returns a loaded image with 8 bits a channel."""
  if deep_colour:
    with open_image(source) as again:
      deep_pixels.swap_bytes(again)
      load(again)
      return deep_pixels.colour_to_eight_bits(image, again)
  if image.mode.startswith("I"):
    try:
      return deep_pixels.gray_to_eight_bits(image, window)
    except deep_pixels.UnknownRangeError as error:
      raise BadImageError(str(error)) from error
  return image


def _reject_kind(image: Image.Image) -> None:
  """Refuses what its header shows to be no picture that can be stored."""
  if image.mode == "F":
    raise BadImageError(
      "its pixels are floating-point numbers: convert it to 8 or 16 bits"
    )
  if image.format == "MPO":
    return
  with explained():
    # To count pictures is slow; whether there is a second is known at once.
    several = getattr(image, "is_animated", False)
    pictures = image.n_frames if several else 1
  if several:
    raise BadImageError(
      f"it holds {pictures} pictures (pages or frames): store each in a file "
      "of its own"
    )


def _orientation(image: Image.Image) -> int:
  """Returns the EXIF orientation, 1 to 8; 1 where there is none."""
  try:
    value = image.getexif().get(_ORIENTATION_TAG, 1)
  except Exception:  # broken metadata of a sound picture
    return 1
  return value if value in range(1, 9) else 1


def _gray_or_rgb(image: Image.Image) -> Image.Image:
  """Returns a loaded image in mode L or RGB."""
  transparent = image.has_transparency_data
  if image.mode in ("L", "RGB") and not transparent:
    return image
  gray = image.mode in ("1", "L", "LA", "La")
  if not transparent:
    return _converted(image, "L" if gray else "RGB")
  image = _converted(image, "RGBA")
  white = Image.new("RGBA", image.size, "white")
  return Image.alpha_composite(white, image).convert("L" if gray else "RGB")


def _converted(image: Image.Image, mode: str) -> Image.Image:
  """Converts by what the file says of its palette and transparency."""
  with explained():
    return image.convert(mode)


def _encode(pixels: Image.Image, lossy: bool) -> CleanImage:
  # Pillow's writers copy comments, profiles and transparency from `info`.
  clean = Image.fromarray(np.asarray(pixels))
  buffer = io.BytesIO()
  if lossy:
    clean.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
  else:
    clean.save(buffer, "PNG")
  return CleanImage(buffer.getvalue(), *clean.size)
