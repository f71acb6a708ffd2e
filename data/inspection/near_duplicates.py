"""Near-duplicates among images, by a perceptual hash that is kept as numbers.

As pHash, it takes the lowest frequencies of a small grey picture. Each is
measured from the data set's mean in its standard deviations, so that what all
images of a kind share (a chest, a skull) does not make them alike, and two
images are compared by the cosine of what is left. How far apart copies and
other patients' images are: `benchmarks/near_duplicates.py`. Copies that are
cropped, turned or mirrored are not found.
"""

from __future__ import annotations

import numpy as np
import tqdm
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ALIKE = 0.95
_BLOCK = 1024
# Of an image's many copies, these link it to all others.
_MOST_LINKS = 8
# Frequencies that hardly vary are noise: they count for less.
_FLOOR = 0.1


def groups(signatures: np.ndarray) -> np.ndarray:
  """Groups images that are near-duplicates, also by way of a third.

  All pairs are compared, in blocks of a matrix product: n^2 of them, but a
  minute for 50,000 images on two cores.

  Args:
    signatures: float (n, d).

  Returns:
    int (n,), the number of each image's group.
  """
  n = len(signatures)
  unit = directions(signatures)
  first, second = [], []
  with tqdm.tqdm(
    total=n, desc="Comparing images", unit=" images", leave=False
  ) as bar:
    for start in range(0, n, _BLOCK):
      cosines = unit[start : start + _BLOCK] @ unit[start:].T
      alike = np.triu(cosines > ALIKE, 1)
      for row in np.flatnonzero(alike.any(axis=1)):
        linked = np.flatnonzero(alike[row])[:_MOST_LINKS]
        first += [start + row] * len(linked)
        second += list(start + linked)
      bar.update(len(cosines))
  links = coo_array((np.ones(len(first)), (first, second)), (n, n))
  return connected_components(links, directed=False)[1]


def directions(signatures: np.ndarray) -> np.ndarray:
  """Returns float32 (n, d + 1) of length 1, whose products are cosines."""
  values = signatures.astype(np.float32)
  values -= values.mean(axis=0)
  spread = values.std(axis=0)
  values /= spread + _FLOOR * spread.max() + 1e-6
  # Where all images are the same one, they are all the mean.
  length = np.linalg.norm(values, axis=1)
  values = np.column_stack([values, length < 1e-3])
  return values / np.linalg.norm(values, axis=1, keepdims=True)
