"""Pixels of DICOM files as a viewer shows them, in 8 bits.

In the standard's order (PS3.3 C.11, PS3.4 N.2): modality LUT or rescale, VOI
LUT or window, presentation. The steps are pydicom's own.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO

import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels import (
  apply_color_lut,
  apply_modality_lut,
  apply_voi_lut,
  pixel_array,
)

from data.images import dicom_header, windows
from data.images.dicom_header import Header
from data.images.pillow_decoding import BadImageError, explained

_BAD_WINDOW = "its window breaks the standard: name one by --window"


def read_frame(
  source: str | os.PathLike | bytes, frame: int | None, window: str
) -> Image.Image:
  """Reads one frame of a DICOM file.

  Args:
    source: its path, or its bytes.
    frame: from 0; None: the only one.
    window: as `--window`, of gray images: 'dicom' is the file's own VOI LUT
      or window. Where it has none, up to 8 bits are taken as they are, more
      are stretched from the frame's darkest to its brightest pixel.

  Returns:
    An image of mode L or RGB. MONOCHROME1 is inverted.

  Raises:
    BadImageError: with the reason.
  """
  with explained(OSError), _opened(source) as file:
    header = dicom_header.read(file)
    if frame is None and header.frames > 1:
      raise BadImageError(
        f"it holds {header.frames} frames: list it in a manifest, with --frames"
      )
    values = _stored(file, header, frame or 0)
  # pydicom's functions stumble over headers that break the standard.
  with explained():
    dataset = dicom_header.of_frame(header.dataset, frame or 0)
    convert = _gray if header.is_gray else _colour
    return Image.fromarray(convert(values, dataset, window))


def _opened(source: str | os.PathLike | bytes) -> BinaryIO:
  return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def _stored(file: BinaryIO, header: Header, frame: int) -> np.ndarray:
  """Returns the stored values, (h, w) or (h, w, 3); YBR is RGB already."""
  try:
    with explained():
      file.seek(0)
      if header.syntax == dicom_header.DEFLATED:
        values = pixel_array(pydicom.dcmread(file, force=True), index=frame)
      else:
        values = pixel_array(
          file, index=frame, transfer_syntax_uid=header.syntax
        )
  except BaseException as error:
    # pylibjpeg-rle is in Rust, whose panics are no `Exception`.
    panic = type(error).__name__ == "PanicException"
    if not panic and not isinstance(error, BadImageError):
      raise
    name = dicom_header.syntax_name(header.syntax)
    raise BadImageError(
      f"its pixels cannot be decoded ({name}): it is damaged, or of a kind "
      "that no decoder here knows"
    ) from error
  with explained():
    if header.overlay_in_pixels:
      unused = values.dtype.itemsize * 8 - header.dataset.BitsStored
      values = np.right_shift(np.left_shift(values, unused), unused)
  return values


def _gray(
  values: np.ndarray, dataset: pydicom.Dataset, window: str
) -> np.ndarray:
  filling = _is_padding(values, dataset)
  values = apply_modality_lut(values, dataset)
  seen = values if filling.all() else values[~filling]
  if window != windows.FULL:
    low, high = windows.limits(seen, window)
  elif dicom_header.has_window(dataset) or dataset.BitsStored <= 8:
    low, high = _shown_range(dataset)
    try:
      values = apply_voi_lut(values, dataset)
    except ValueError as error:
      raise BadImageError(_BAD_WINDOW) from error
  else:
    low, high = float(seen.min()), float(seen.max())
  gray = windows.to_eight_bits(values, low, high)
  is_inverted = dataset.PhotometricInterpretation.strip() == "MONOCHROME1"
  return 255 - gray if is_inverted else gray


def _shown_range(dataset: pydicom.Dataset) -> tuple[float, float]:
  """Returns which values `apply_voi_lut` gives for black and for white."""
  luts = dataset.get("VOILUTSequence") or dataset.get("ModalityLUTSequence")
  if luts:
    return 0.0, 2.0 ** luts[0].LUTDescriptor[2] - 1
  bits = dataset.BitsStored
  lowest = -(2 ** (bits - 1)) if dataset.get("PixelRepresentation") else 0
  low, high = float(lowest), lowest + 2.0**bits - 1
  if "RescaleSlope" in dataset and "RescaleIntercept" in dataset:
    slope, start = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    low, high = low * slope + start, high * slope + start
  # With a falling rescale, what is below a window gets the larger value.
  is_windowed = dicom_header.has_window(dataset)
  return (low, high) if is_windowed else (min(low, high), max(low, high))


def _is_padding(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
  """Returns where there is no picture but filling, bool (h, w)."""
  value = dataset.get("PixelPaddingValue")
  if value is None:
    return np.zeros(stored.shape, bool)
  ends = sorted((value, dataset.get("PixelPaddingRangeLimit", value)))
  return (stored >= ends[0]) & (stored <= ends[1])


def _colour(
  values: np.ndarray, dataset: pydicom.Dataset, window: str
) -> np.ndarray:
  del window  # of gray images
  bits = dataset.BitsStored
  if values.ndim == 2:
    values = apply_color_lut(values, dataset)[..., :3]
    bits = values.dtype.itemsize * 8
  return windows.to_eight_bits(values, 0, 2**bits - 1)
