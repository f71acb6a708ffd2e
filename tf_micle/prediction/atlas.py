"""Atlas of embeddings: one HTML file that needs no network.

Jinja escapes all text, and the script sets it as text; a policy in the page
forbids loading, and scripts but for the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import pathlib

import markupsafe
import numpy as np
from PIL import Image

from tf_micle.report.page import filled
from tf_micle.system.written_whole import written_whole

_FOLDER = pathlib.Path(__file__).parent


def thumbnail(view, side):
  """Shrinks a view, uint8 (h, w, 3), to a JPEG of `side` pixels, in base64."""
  file, picture = io.BytesIO(), Image.fromarray(view)
  picture.thumbnail((side, side), Image.Resampling.BILINEAR)
  picture.save(file, "JPEG", quality=75)
  return base64.b64encode(file.getvalue()).decode()


def write(path, *, columns, places, nearest, cosines, **shown):
  """Writes the page; it takes its place when complete.

  Args:
    path: of the page; its folder is made if absent.
    columns: what is known of the images: name to (n,) str, '' where not known.
    places: floats (n, 2) in [0, 1].
    nearest: int64 (n, k), images that are like each.
    cosines: floats (n, k), -inf where there is none.
    **shown: `title`, `lead` and `notes` to print; `thumbnails`, n in base64.
  """
  script = (_FOLDER / "atlas.js").read_text(encoding="utf-8")
  digest = hashlib.sha256(script.encode()).digest()
  there = np.isfinite(cosines)
  data = {
    "columns": [[name, values.tolist()] for name, values in columns.items()],
    "places": np.round(places.astype(float), 4).tolist(),
    "nearest": [row[own].tolist() for row, own in zip(nearest, there)],
    "cosines": [
      np.round(row[own].astype(float), 3).tolist()
      for row, own in zip(cosines, there)
    ],
    "thumbnails": shown.pop("thumbnails"),
  }
  page = filled(
    _FOLDER / "atlas.html",
    data=data,
    script=markupsafe.Markup(script),
    script_hash=base64.b64encode(digest).decode(),
    **shown,
  )
  os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
  with written_whole(path) as file:
    file.write(page)
