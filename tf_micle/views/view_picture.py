"""A picture of training views as the network sees them."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

_MARGIN = 2
_MIN_SIDE = 96
MOST = 32


def view_picture(views, *, columns=8, rows=4):
  """Lays items out in a grid, the views of an item one above the other.

  Args:
    views: float (b, v, h, w, 3) in [0, 1]; a positive pair has v = 2.
    columns: items side by side, at most.
    rows: rows of items, at most.

  Returns:
    uint8 (height, width, 3); small views are enlarged to be looked at.
  """
  views = np.asarray(views)[: columns * rows]
  enlarge = -(-_MIN_SIDE // views.shape[2])
  views = views.repeat(enlarge, axis=2).repeat(enlarge, axis=3)
  columns = min(columns, len(views))
  items = -(-len(views) // columns) * columns
  pairs = np.ones((items, *views.shape[1:]))
  pairs[: len(views)] = views
  # A white line between views, a wider one between items.
  edges = ((0, 0), (0, 0), (0, _MARGIN), (0, _MARGIN), (0, 0))
  pairs = np.pad(pairs, edges, constant_values=1)
  pairs = pairs.reshape(-1, columns, *pairs.shape[1:])
  grid = pairs.transpose(0, 2, 3, 1, 4, 5)  # rows, v, h, columns, w, 3
  grid = grid.reshape(*grid.shape[:1], -1, grid.shape[3] * grid.shape[4], 3)
  grid = np.pad(
    grid,
    ((0, 0), (0, 3 * _MARGIN), (0, 0), (0, 0)),
    "constant",
    constant_values=1,
  )
  picture = grid.reshape(-1, grid.shape[2], 3)
  return np.round(picture * 255).clip(0, 255).astype(np.uint8)


def write(views, run_dir, log, *, name):
  """Draws views into `<name>.png` and the log; returns the file's path.

  Args:
    views: as in `view_picture`.
    run_dir: the run's folder.
    log: `run_log.RunLog`.
    name: of the picture.
  """
  picture = view_picture(views)
  log.write_picture(0, name, picture)
  path = os.path.join(run_dir, f"{name}.png")
  Image.fromarray(picture).save(path)
  return path
