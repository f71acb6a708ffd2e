"""Conversion of 12 and 16 bits a channel to 8.

Over the format's full range, where no window is named: 0 to 65535 becomes 0 to
255, divided by 257 and rounded.
"""

from __future__ import annotations

import re
import sys

import numpy as np
from PIL import Image

from data.images import windows

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_MIN_IS_WHITE = 0
_FULL = 65535
# Pillow's raw modes of 16-bit colour; B, L, N: big, little, native byte order.
_DEEP_COLOUR = re.compile(r"(RGB|RGBA|RGBX);16([BLN])")


class UnknownRangeError(ValueError):
  """Pixels of which the full range is not known; the message says which."""


def gray_to_eight_bits(
  image: Image.Image, window: str = windows.FULL
) -> Image.Image:
  """Converts a gray image of 12 or 16 bits.

  Args:
    image: a loaded image of mode I or I;16 in any byte order.
    window: as `--window`, in stored values.

  Returns:
    An image of mode L. A transparent gray value turns white.

  Raises:
    UnknownRangeError: values beyond 0 to 65535.
  """
  values = np.asarray(image).astype(np.int64)
  if values.min() < 0 or values.max() > _FULL:
    raise UnknownRangeError(
      f"its pixels go from {values.min()} to {values.max()}, beyond 0 to "
      f"{_FULL}: scale them to 8 or 16 bits"
    )
  tags = getattr(image, "tag_v2", {})
  full = 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else _FULL
  if window == windows.FULL:
    gray = _round(values, full)
  else:
    gray = windows.to_eight_bits(values, *windows.limits(values, window))
  if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:  # Pillow inverts 8 bits only
    gray = 255 - gray
  transparent = image.info.get("transparency")
  if isinstance(transparent, int):
    gray = np.where(values == transparent, 255, gray)
  return Image.fromarray(gray.astype(np.uint8))


def is_deep_colour(image: Image.Image) -> bool:
  """Returns whether an image that is not yet loaded is 16-bit RGB or RGBA."""
  return bool(image.tile) and all(
    _DEEP_COLOUR.fullmatch(_raw_mode(tile)) for tile in image.tile
  )


def swap_bytes(image: Image.Image) -> None:
  """Has a 16-bit colour image, not yet loaded, keep its pixels' low bytes.

  Pillow has no such mode and keeps the high bytes. In the other byte order it
  takes the low ones for them.
  """
  other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
  tiles = []
  for tile in image.tile:
    raw = _raw_mode(tile)
    swapped = raw[:-1] + other[raw[-1]]
    args = tile[3]
    args = swapped if isinstance(args, str) else (swapped, *args[1:])
    named = hasattr(tile, "_replace")  # a plain tuple before Pillow 11
    tiles.append(tile._replace(args=args) if named else (*tile[:3], args))
  image.tile = tiles


def colour_to_eight_bits(high: Image.Image, low: Image.Image) -> Image.Image:
  """Converts a 16-bit colour image, rounding by its low bytes.

  Args:
    high: a loaded image for which `is_deep_colour` held before.
    low: the same file once more, loaded after `swap_bytes`.

  Returns:
    An image of mode RGB or RGBA. A transparent RGB value turns white.
  """
  values = np.asarray(high).astype(np.int64) * 256 + np.asarray(low)
  colour = _round(values, _FULL)
  transparent = high.info.get("transparency")
  if isinstance(transparent, tuple):
    is_transparent = (values == transparent).all(axis=-1, keepdims=True)
    colour = np.where(is_transparent, 255, colour)
  return Image.fromarray(colour.astype(np.uint8))


def _raw_mode(tile: tuple) -> str:
  args = tile[3]
  if isinstance(args, (tuple, list)):
    args = args[0] if args else ""
  return args if isinstance(args, str) else ""


def _round(values: np.ndarray, full: int) -> np.ndarray:
  return (values * 510 + full) // (2 * full)  # v / full x 255, half up
