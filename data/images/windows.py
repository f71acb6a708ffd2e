"""Windows: which range of deep pixels becomes black to white."""

from __future__ import annotations

import numpy as np

FULL, PERCENTILES = "dicom", "percentiles"
# nnU-Net's: what few bright letters or dead pixels do not stretch.
_LOW, _HIGH = 0.5, 99.5


def problem(window: str) -> str | None:
  """Returns what is wrong with a `--window`, None where nothing is."""
  try:
    is_right = window in (FULL, PERCENTILES) or center_width(window)[1] > 1
  except ValueError:
    is_right = False
  if is_right:
    return None
  return (
    "--window: Expected dicom, percentiles, or CENTER,WIDTH with a width above "
    f"1, as -600,1500. Received: {window!r}."
  )


def center_width(window: str) -> tuple[float, float]:
  """Parses 'CENTER,WIDTH'.

  Raises:
    ValueError: it is none.
  """
  center, width = (float(number) for number in window.split(","))
  if not np.isfinite(center + width):
    raise ValueError(window)
  return center, width


def limits(values: np.ndarray, window: str) -> tuple[float, float]:
  """Returns what turns black and what turns white.

  Args:
    values: numbers that the image is made of, at least one.
    window: `PERCENTILES` (0.5 and 99.5), or 'CENTER,WIDTH' as DICOM's function
      LINEAR has it (PS3.3 C.11.2.1.2.1).
  """
  if window == PERCENTILES:
    low, high = np.percentile(values, (_LOW, _HIGH))
    return float(low), float(high)
  center, width = center_width(window)
  return center - width / 2, center + width / 2 - 1


def to_eight_bits(values: np.ndarray, low: float, high: float) -> np.ndarray:
  """Scales `low` to 0 and `high` to 255, rounds, and clips what is beyond.

  Where `high` is below `low`, values fall from black to white.
  """
  if high == low:
    high = low + 1
  unit = (values.astype(np.float64) - low) / (high - low)
  return np.floor(np.clip(unit, 0, 1) * 255 + 0.5).astype(np.uint8)
