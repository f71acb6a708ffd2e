"""Picture of training views as the network sees them."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tf_micle.system.written_whole import written_whole

_GAP = 2
_MIN_SIDE = 96
MOST = 32


def view_picture(views, *, item="pair", columns=8, rows=4):
  """Lays items out in a grid, the views of an item one above the other.

  Items are numbered above them, and views at the left.

  Args:
    views: float (b, v, h, w, 3) in [0, 1]; a positive pair has v = 2.
    item: what an item is called.
    columns: items side by side, at most.
    rows: rows of items, at most.

  Returns:
    uint8 (height, width, 3); small views are enlarged to be looked at.
  """
  views = np.asarray(views)[: columns * rows]
  views = np.round(views * 255).clip(0, 255).astype(np.uint8)
  enlarge = -(-_MIN_SIDE // views.shape[3])
  views = views.repeat(enlarge, axis=2).repeat(enlarge, axis=3)
  count, v, height, width, _ = views.shape
  columns = min(columns, count)
  size = max(14, width // 10)
  font = ImageFont.load_default(size)
  above, left_of = 2 * size, 4 * size  # Room for the words.
  step_x, step_y = width + _GAP, above + v * (height + _GAP)
  picture = Image.new(
    "RGB",
    (left_of + columns * step_x, -(-count // columns) * step_y),
    "white",
  )
  draw = ImageDraw.Draw(picture)
  for k, one in enumerate(views):
    row, column = divmod(k, columns)
    left, top = left_of + column * step_x, row * step_y + above
    middle = (left + width // 2, top - size // 2)
    draw.text(middle, f"{item} {k + 1}", "black", font, "ms")
    for number, view in enumerate(one):
      y = top + number * (height + _GAP)
      picture.paste(Image.fromarray(view), (left, y))
      if not column:
        beside = (left - size // 2, y + height // 2)
        draw.text(beside, f"view {number + 1}", "black", font, "rm")
  return np.asarray(picture)


def write(views, run_dir, log, *, name):
  """Draws views into `<name>.png` and the log; returns the file's path.

  Args:
    views: as in `view_picture`.
    run_dir: the run's folder.
    log: `run_log.RunLog`.
    name: of the picture: 'positive_pairs', or another for images and bags.
  """
  item = "image" if views.shape[1] == 1 else "bag"
  picture = view_picture(
    views, item="pair" if name == "positive_pairs" else item
  )
  log.write_picture(0, name, picture)
  path = os.path.join(run_dir, f"{name}.png")
  with written_whole(path, binary=True) as file:
    Image.fromarray(picture).save(file, "PNG")
  return path
