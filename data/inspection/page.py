"""Page of an inspection: one HTML file that needs no network and no scripts.

All text goes through Jinja's autoescaping; a policy in the page forbids scripts
and loading, should something slip through.
"""

from __future__ import annotations

import base64
import io
import os
import pathlib

import jinja2
import numpy as np

from data.inspection import tables
from data.inspection.measured import Measured, picture
from data.inspection.worries import LEVELS, Worry

_FOLDER = pathlib.Path(__file__).parent
_SIDE = 112
_BAGS, _IMAGES_A_BAG = 4, 8
_PICTURES, _ROWS, _CURVES = 12, 200, 8


def write(
  path: str | os.PathLike, m: Measured, found: list[Worry], pairs: bytes | None
) -> None:
  """Writes the page; a file that stands is replaced when complete.

  Args:
    path: of the page.
    m: the data set.
    found: what to worry about.
    pairs: a PNG of positive pairs.
  """
  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  template = (_FOLDER / "page.html").read_text(encoding="utf-8")
  page = environment.from_string(template).render(
    name=m.description.name,
    css=(_FOLDER / "page.css").read_text(encoding="utf-8"),
    tables=list(tables.tables(m)),
    charts=list(_charts(m)),
    sheets=list(_sheets(m)),
    pairs=pairs and _uri(pairs, "png"),
    levels=LEVELS,
    most_rows=_ROWS,
    worries=[
      (worry, [_captioned(m, k) for k in worry.images[:_PICTURES]])
      for worry in found
    ],
  )
  partial = f"{os.fspath(path)}.writing"
  try:
    pathlib.Path(partial).write_text(page, encoding="utf-8", errors="replace")
    os.replace(partial, path)
  finally:  # A full disk leaves nothing behind.
    pathlib.Path(partial).unlink(missing_ok=True)


def _sheets(m):
  """Yields split, and pictures of each of its first bags.

  The records are in an order that was drawn, so these are a sample.
  """
  for split, images in m.images.groupby("split"):
    bags = images["bag"].unique()[:_BAGS]
    yield (
      split,
      [
        [_captioned(m, k) for k in images.index[images["bag"] == bag]][
          :_IMAGES_A_BAG
        ]
        for bag in bags
      ],
    )


def _captioned(m, k):
  """Returns an image as a data URI, and what it is."""
  file = io.BytesIO()
  picture(m.places[k], _SIDE).save(file, "JPEG", quality=85)
  names = np.array(m.description.class_names, object)
  labels = names[m.findings[k] == 1] if len(names) else ()
  row, split = m.images["row"][k], m.images["split"][k]
  said = ", ".join([f"row {row}, {split}", *labels])
  return _uri(file.getvalue(), "jpeg"), said


def _charts(m):
  """Yields a column, and (value, points of a curve) of its most frequent.

  A curve is the share of pixels by grey level; its square root, so that a
  black background does not hide the rest.
  """
  for column, values in {"split": m.images["split"], **m.metadata}.items():
    curves = {}
    for value in sorted(values.value_counts().index[:_CURVES]):
      mean = np.sqrt(m.histograms[values == value].mean(axis=0))
      curves[value or tables.NOT_STATED] = mean
    highest = max(map(np.max, curves.values()))
    if len(curves) > 1:
      yield column, [(v, _points(y / highest)) for v, y in curves.items()]


def _points(heights):
  places = np.linspace(0, 300, len(heights))
  return " ".join(f"{x:.0f},{98 - 96 * y:.1f}" for x, y in zip(places, heights))


def _uri(data, kind):
  return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
