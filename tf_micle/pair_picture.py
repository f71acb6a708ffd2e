"""A picture of positive pairs as the network sees them."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

_MARGIN = 2
_MIN_SIDE = 96
MOST = 32


def pair_picture(views, *, columns=8, rows=4):
  """Lays pairs out in a grid, the two views of a pair one above the other.

  Args:
    views: float (b, 2, h, w, 3) in [0, 1].
    columns: pairs side by side, at most.
    rows: rows of pairs, at most.

  Returns:
    uint8 (height, width, 3); small views are enlarged to be looked at.
  """
  views = np.asarray(views)[: columns * rows]
  enlarge = -(-_MIN_SIDE // views.shape[2])
  views = views.repeat(enlarge, axis=2).repeat(enlarge, axis=3)
  columns = min(columns, len(views))
  height, width = views.shape[2:4]
  pairs = np.ones((-(-len(views) // columns) * columns, 2, height, width, 3))
  pairs[: len(views)] = views
  # A white line between views, a wider one between pairs.
  edges = ((0, 0), (0, 0), (0, _MARGIN), (0, _MARGIN), (0, 0))
  pairs = np.pad(pairs, edges, constant_values=1)
  pairs = pairs.reshape(-1, columns, *pairs.shape[1:])
  grid = pairs.transpose(0, 2, 3, 1, 4, 5)  # rows, 2, h, columns, w, 3
  grid = grid.reshape(grid.shape[0], -1, columns * (width + _MARGIN), 3)
  grid = np.pad(
    grid,
    ((0, 0), (0, 3 * _MARGIN), (0, 0), (0, 0)),
    "constant",
    constant_values=1,
  )
  picture = grid.reshape(-1, grid.shape[2], 3)
  return np.round(picture * 255).clip(0, 255).astype(np.uint8)


def write(views, run_dir, log):
  """Draws pairs into `positive_pairs.png` and the log; returns the file's path.

  Args:
    views: as in `pair_picture`.
    run_dir: the run's folder.
    log: `run_log.RunLog`.
  """
  picture = pair_picture(views)
  log.write_picture(0, "positive_pairs", picture)
  path = os.path.join(run_dir, "positive_pairs.png")
  Image.fromarray(picture).save(path)
  return path
