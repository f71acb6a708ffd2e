"""Flow diagram: boxes below each other, and what leaves on the way, as SVG."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from tf_micle.report import charts

# In points: the page shows it about as wide.
_WIDTH, _SIZE, _LINE, _PAD, _GAP = 332, 8.5, 11.5, 7, 17
_MAIN, _ASIDE = (4, 164), (190, 138)  # (left, width)
# Characters that fit, whatever font the reader has.
_CHARACTERS = {_MAIN: 31, _ASIDE: 26}


def flow(boxes: Sequence[str], asides: Sequence[str]) -> str:
  """Returns SVG.

  Args:
    boxes: texts of the boxes, from the top; lines are wrapped.
    asides: what leaves between each and the next, len(boxes) - 1; '': nothing.
  """
  with matplotlib.rc_context(charts.STYLE):
    gaps = [
      _height(text, _ASIDE) + _GAP if text else 1.3 * _GAP for text in asides
    ]
    height = sum(_height(text, _MAIN) for text in boxes) + sum(gaps) + 4
    figure = Figure(figsize=(_WIDTH / 72, height / 72))
    axes = figure.add_axes([0, 0, 1, 1])
    axes.set(xlim=(0, _WIDTH), ylim=(height, 0))  # Down is more.
    axes.axis("off")
    y, middle = 2, _MAIN[0] + _MAIN[1] / 2
    for text, aside, gap in zip(boxes, [*asides, ""], [*gaps, 0]):
      _box(axes, text, y, _MAIN, charts.COLORS[0])
      y += _height(text, _MAIN)
      if gap:
        _arrow(axes, (middle, y), (middle, y + gap))
      if aside:
        top = y + (gap - _height(aside, _ASIDE)) / 2
        _arrow(axes, (middle, y + gap / 2), (_ASIDE[0], y + gap / 2))
        _box(axes, aside, top, _ASIDE, charts.GRAY)
      y += gap
    return charts.to_svg(figure)


def _wrapped(text, place):
  lines = (textwrap.wrap(line, _CHARACTERS[place]) for line in text.split("\n"))
  return [part for line in lines for part in line]


def _height(text, place):
  return len(_wrapped(text, place)) * _LINE + 2 * _PAD - 3


def _box(axes, text, top, place, color):
  left, width = place
  axes.add_patch(
    matplotlib.patches.Rectangle(
      (left, top), width, _height(text, place), fill=False, edgecolor=color
    )
  )
  for number, line in enumerate(_wrapped(text, place)):
    weight = "bold" if number == 0 else "normal"
    at = left + _PAD, top + _PAD + 7 + number * _LINE
    axes.text(*at, line, size=_SIZE, weight=weight, color=charts.INK)


def _arrow(axes, start, end):
  axes.annotate(
    "",
    end,
    start,
    arrowprops={
      "arrowstyle": "-|>",
      "color": charts.GRAY,
      "linewidth": 0.9,
      "shrinkA": 0,
      "shrinkB": 0,
    },
  )
