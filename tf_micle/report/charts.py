"""Charts of an evaluation, as SVG.

A chart holds lines, numbers and the names of its axes. Nothing of the data's
own text (class names, for one) is drawn: the page writes that beside the
chart, where a browser wraps it, escapes it and knows all scripts.
"""

from __future__ import annotations

import base64
import dataclasses
import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito's colours without yellow, which is faint on white; told apart
# with any common colour vision, and by their dashes too.
COLORS = (
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#000000",
)
_SOLID, _DASHED, _DOTTED, _BOTH = (), (5, 1.6), (1.4, 1.2), (5, 1.4, 1.4, 1.4)
DASHES = (_SOLID, _DASHED, _BOTH, _SOLID, _DASHED, _SOLID, _DOTTED)
GRAY, INK = "#8a929b", "#333a42"
STYLE = {
  # Text stays text; the first of these that the reader's machine has is used.
  "svg.fonttype": "none",
  # Equal charts are equal files.
  "svg.hashsalt": "tf_micle",
  "font.family": "sans-serif",
  "font.sans-serif": ["Helvetica Neue", "Segoe UI", "Arial", "DejaVu Sans"],
  "path.simplify": True,
  "path.simplify_threshold": 0.25,
  "axes.edgecolor": GRAY,
  "axes.labelcolor": INK,
  "axes.linewidth": 0.7,
  "axes.spines.right": False,
  "axes.spines.top": False,
  "xtick.color": INK,
  "ytick.color": INK,
  "xtick.major.width": 0.7,
  "ytick.major.width": 0.7,
  "grid.color": "#e7eaee",
  "grid.linewidth": 0.7,
}


@dataclasses.dataclass(frozen=True)
class Curve:
  """One line of a chart.

  Attributes:
    x: (k,) in [0, 1].
    y: (k,) in [0, 1].
    color: as matplotlib and CSS read it.
    dash: lengths of strokes and gaps, in line widths; empty: solid.
    guess: the height that guessing has, drawn as a thin line, or None.
    band: (x, low, high), drawn behind it, or None.
  """

  x: np.ndarray
  y: np.ndarray
  color: str = COLORS[0]
  dash: tuple[float, ...] = ()
  guess: float | None = None
  band: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


def roc(curves: list[Curve], specificity: float, *, small: bool = False) -> str:
  """ROC curves over the diagonal of guessing; returns SVG.

  Args:
    curves: of (false positive rate, sensitivity).
    specificity: in [0, 1], marked by a dotted line.
    small: a chart of 2 inches with one to three curves, not of 4.
  """
  with matplotlib.rc_context(STYLE):
    figure, axes = _square(small)
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
    mark = 1 - specificity
    axes.axvline(mark, color=GRAY, linewidth=0.9, linestyle=(0, (1, 2)))
    _draw(axes, curves, small, drawstyle="default")
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("Sensitivity")
    return to_svg(figure)


def precision_recall(curves: list[Curve], *, small: bool = False) -> str:
  """Precision-recall curves; returns SVG.

  Args:
    curves: of (recall, precision), recall falling.
    small: as in `roc`.
  """
  with matplotlib.rc_context(STYLE):
    figure, axes = _square(small)
    # Steps, as average precision sums them.
    _draw(axes, curves, small, drawstyle="steps-post")
    axes.set_xlabel("Recall (sensitivity)")
    axes.set_ylabel("Precision (PPV)")
    return to_svg(figure)


def net_benefit(curves: list[Curve], *, small: bool = False) -> str:
  """Decision curves over thresholds from 0 to 1; returns SVG.

  Args:
    curves: of (threshold, net benefit).
    small: as in `roc`.
  """
  with matplotlib.rc_context(STYLE):
    figure, axes = _square(small)
    axes.axhline(0, color=GRAY, linewidth=0.8)
    _draw(axes, curves, small, drawstyle="default")
    tops = [curve.y for curve in curves]
    tops += [np.nan_to_num(curve.band[2]) for curve in curves if curve.band]
    top = max(0.05, *map(np.max, tops)) * 1.08
    axes.set_ylim(-0.3 * top, top)
    axes.set_yticks([0, round(top / 2, 2), round(top, 2)])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("Threshold probability")
    axes.set_ylabel("Net benefit")
    return to_svg(figure)


def reliability(
  confidence: np.ndarray,
  observed: np.ndarray,
  count: np.ndarray,
  *,
  names: tuple[str, str],
  band: tuple[np.ndarray, np.ndarray] | None = None,
  color: str = COLORS[0],
  small: bool = False,
) -> str:
  """What was said against what was so, over a histogram; returns SVG.

  Args:
    confidence: (bins,) mean probability of each bin; NaN where it is empty.
    observed: (bins,) the share of its items that were so; NaN likewise.
    count: (bins,) its items.
    names: of the two axes, x and y.
    band: (low, high) of `observed`, (bins,) each, NaN likewise.
    color: of points and bars.
    small: as in `roc`.
  """
  with matplotlib.rc_context(STYLE):
    figure, axes = _square(small, below=0.24)
    full = count > 0
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8)
    axes.plot(confidence[full], observed[full], color=color, linewidth=1)
    if band is not None:
      ends = (end[full] for end in band)
      axes.vlines(confidence[full], *ends, color=color, linewidth=1, alpha=0.5)
    # Area goes by the number of items: an outlier of two items looks like one.
    area = (14 if small else 50) * count[full] / max(count.max(), 1)
    axes.scatter(confidence[full], observed[full], area + 5, color, zorder=3)
    axes.set_ylabel(names[1])
    axes.tick_params(labelbottom=False)
    left, bottom, width, height = axes.get_position().bounds
    gap = 0.025
    bars = figure.add_axes([left, bottom - 0.24, width, 0.24 - gap])
    edges = np.linspace(0, 1, len(count) + 1)
    bars.bar(
      edges[:-1], count, np.diff(edges) * 0.92, align="edge", color=color
    )
    bars.set_xlim(-0.02, 1.02)
    bars.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    bars.set_yticks([0, int(max(count.max(), 1))])
    size = 6.5 if small else 8.5
    bars.tick_params(labelsize=size, length=2, pad=2)
    bars.set_xlabel(names[0], fontsize=size + 0.5)
    return to_svg(figure)


def efficiency(
  fractions: list[float],
  lines: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
  *,
  name: str,
) -> str:
  """A score over the share of labels, with its intervals; returns SVG.

  Args:
    fractions: in (0, 1], rising; drawn on a logarithmic axis.
    lines: (value, low, high) of each arm, each (len(fractions),) and NaN where
      not known, in the order of COLORS.
    name: of the score's axis.
  """
  with matplotlib.rc_context(STYLE):
    figure = Figure(figsize=(4.1, 3.4))
    axes = figure.add_axes([0.16, 0.15, 0.82, 0.82])
    axes.set_xscale("log")
    for number, (value, low, high) in enumerate(lines):
      look = number % len(COLORS)
      # Side by side, so that intervals do not hide each other.
      at = np.array(fractions) * 1.03 ** (number - (len(lines) - 1) / 2)
      dash = (0, DASHES[look]) if DASHES[look] else "solid"
      axes.plot(at, value, color=COLORS[look], linestyle=dash, marker="o", ms=4)
      axes.vlines(at, low, high, color=COLORS[look], linewidth=1)
    axes.set_xticks(fractions, [f"{100 * share:g}%" for share in fractions])
    axes.minorticks_off()
    axes.tick_params(labelsize=8.5, length=2, pad=2)
    axes.set_xlabel("Labelled patients", fontsize=9)
    axes.set_ylabel(name, fontsize=9)
    axes.grid(True)
    axes.set_axisbelow(True)
    return to_svg(figure)


def source(svg: str) -> str:
  """SVG text -> what <img src> takes."""
  data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
  return f"data:image/svg+xml;base64,{data}"


def _square(small, below=0.0):
  """A figure with axes from 0 to 1, `below` of its height free under them."""
  side = 2.05 if small else 4.1
  figure = Figure(figsize=(side, side))
  left, bottom, top = (0.19, 0.18, 0.97) if small else (0.13, 0.12, 0.985)
  axes = figure.add_axes(
    [left, bottom + below, top - left, top - bottom - below]
  )
  axes.set_xlim(-0.02, 1.02)
  axes.set_ylim(-0.02, 1.02)
  ticks = (0, 0.5, 1) if small else (0, 0.2, 0.4, 0.6, 0.8, 1)
  names = [f"{tick:g}" for tick in ticks]
  axes.set_xticks(ticks, names)
  axes.set_yticks(ticks, names)
  size = 6.5 if small else 8.5
  axes.tick_params(labelsize=size, length=2, pad=2)
  for axis in (axes.xaxis, axes.yaxis):
    axis.label.set_size(size + 0.5)
    axis.labelpad = 2
  axes.grid(True)
  axes.set_axisbelow(True)
  return figure, axes


def _draw(axes, curves, small, drawstyle):
  width = 1.2 if small else 1.6
  for curve in curves:
    if curve.band is not None:
      axes.fill_between(*curve.band, color=curve.color, alpha=0.12, linewidth=0)
    if curve.guess is not None:
      axes.axhline(curve.guess, color=curve.color, linewidth=0.6, alpha=0.7)
    axes.plot(
      curve.x,
      curve.y,
      color=curve.color,
      linewidth=width,
      linestyle=(0, curve.dash) if curve.dash else "solid",
      drawstyle=drawstyle,
    )


def to_svg(figure: Figure) -> str:
  """A figure as SVG text; equal figures give equal text."""
  file = io.StringIO()
  # Without a date and a creator: equal charts are equal files.
  nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
  figure.savefig(file, format="svg", metadata=nothing)
  return file.getvalue()
