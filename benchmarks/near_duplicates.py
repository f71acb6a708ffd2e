"""How far apart copies of images are from images of other patients.

  python benchmarks/near_duplicates.py RECORDS

Copies are of 100 images: coded again at quality 50, shrunk to 5/7, brightened
and flattened (0.8 x + 20). `near_duplicates.ALIKE` should lie between.
"""

from __future__ import annotations

import io
import os
import pathlib
import sys

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import numpy as np
from PIL import Image

from data.inspection import measured, near_duplicates
from data.inspection.image_measures import measure

COPIES = 100


def copies(image):
  """Yields an image's copies as encoded files."""
  shrunk = [side * 5 // 7 for side in image.size]
  flat = np.asarray(image) * 0.8 + 20
  for copy, how in (
    (image, {"format": "JPEG", "quality": 50}),
    (image.resize(shrunk, Image.Resampling.LANCZOS), {"format": "PNG"}),
    (Image.fromarray(flat.clip(0, 255).astype(np.uint8)), {"format": "PNG"}),
  ):
    file = io.BytesIO()
    copy.save(file, **how)
    yield file.getvalue()


def main(data_dir):
  """Prints the lowest cosine of copies and the highest of other patients."""
  m = measured.read(data_dir, workers=1)
  chosen = np.linspace(0, len(m.images) - 1, COPIES).astype(int)
  own = [
    measure(copy).signature
    for k in chosen
    for copy in copies(measured.picture(m.places[k], 1 << 20))
  ]
  both = np.concatenate([m.signatures, own])
  unit = near_duplicates.directions(both)
  n = len(m.images)
  found = np.einsum("id,id->i", unit[n:], unit[np.repeat(chosen, 3)])
  patients = m.images["patient"].to_numpy()
  others = unit[:n] @ unit[:n].T
  others[patients[:, None] == patients] = -1
  print(f"{n:,} images; copies, lowest by kind: {found.reshape(-1, 3).min(0)}")
  print(f"images of other patients, highest: {others.max():.3f}")


if __name__ == "__main__":
  main(sys.argv[1])
