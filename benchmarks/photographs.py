"""JPEGs to measure with: cuts of two photographs that scikit-learn ships."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from sklearn import datasets

_NOISE = 3  # Grain, in levels: an enlarged photograph has none of its own.
_QUALITY = 90


def jpegs(width, height, count, *, seed=0):
  """Returns `count` different JPEGs of `width` x `height` pixels, as bytes."""
  draw = np.random.default_rng(seed)
  photographs = [
    Image.fromarray(p) for p in datasets.load_sample_images().images
  ]
  encoded = []
  for k in range(count):
    photograph = photographs[k % len(photographs)]
    w, h = photograph.size
    scale = min(w / width, h / height) * draw.uniform(0.7, 1)
    left = draw.uniform(0, w - width * scale)
    top = draw.uniform(0, h - height * scale)
    box = (left, top, left + width * scale, top + height * scale)
    cut = photograph.resize((width, height), Image.BICUBIC, box=box)
    grain = draw.normal(0, _NOISE, (height, width, 1))
    pixels = np.clip(np.asarray(cut) + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    encoded.append(file.getvalue())
  return encoded
