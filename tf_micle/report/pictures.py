"""Pictures of a report: JPEG in the page, and heat maps over them."""

from __future__ import annotations

import base64
import io

import matplotlib
import numpy as np
from PIL import Image

_OPACITY = 0.6


def source(image: np.ndarray, most: int) -> str:
  """An image, uint8 (h, w, 3), at most so many pixels a side, as a data URI."""
  picture = Image.fromarray(image)
  picture.thumbnail((most, most))
  file = io.BytesIO()
  picture.save(file, "JPEG", quality=88)
  data = base64.b64encode(file.getvalue()).decode("ascii")
  return f"data:image/jpeg;base64,{data}"


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
  """An image in grey under its heat map, from dark to light, uint8 (h, w, 3).

  Args:
    image: uint8 (h, w, 3).
    heat: float32 (h', w'), at least 0, its highest above 0, which is lightest.
  """
  size = image.shape[1::-1]
  map_ = Image.fromarray((heat / heat.max()).astype(np.float32))
  map_ = np.clip(map_.resize(size, Image.Resampling.BILINEAR), 0, 1)
  colours = matplotlib.colormaps["inferno"](map_)[..., :3] * 255
  grey = np.asarray(Image.fromarray(image).convert("L"))[..., None]
  return np.uint8(colours * _OPACITY + grey * (1 - _OPACITY))
