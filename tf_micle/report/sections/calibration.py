"""Section of calibration: stated probabilities against what was so."""

from __future__ import annotations

import dataclasses

from tf_micle.evaluation import bands, curves
from tf_micle.report import charts, tables
from tf_micle.report.blocks import (
  Cell,
  Chart,
  Figure,
  Figures,
  Heading,
  Section,
  Table,
  Text,
)
from tf_micle.system.plurals import counted

_SLOPES = (
  "A slope of 1 and an intercept of 0 are right. A slope below 1 says that "
  "probabilities are too extreme, an intercept below 0 that they are too high "
  "on average. Not defined where positives and negatives are wholly apart."
)


def section(basis):
  """Returns the `Section`: a chart a level, or a chart a level and finding."""
  what = (
    "How often a finding is there"
    if basis.findings
    else "How often the model is right"
  )
  blocks = [
    Text(
      f"{what} when it states a probability: points on the diagonal mean that "
      "probabilities can be taken at their word, points below it that the "
      f"model is too sure. Larger points stand for more {basis.unit}s or "
      f"patients, lines for {basis.interval} intervals over patients; the "
      "bars below count them."
    )
  ]
  fitted = (basis.result.get("operating_points") or {}).get("calibration")
  if fitted:
    way = f"one temperature, {1 / fitted['scale'][0]:.3g}"
    if basis.findings:
      way = "an intercept and a slope a finding"
    blocks.append(
      Text(
        f"The probabilities were calibrated: {way}, fitted on "
        f"{basis.result['operating_points']['data']}."
      )
    )
  drawn = {level: _drawn(basis, level) for level in basis.at}
  if not basis.findings:
    both = [figure for one in drawn.values() for figure in one]
    blocks.append(Figures("Reliability", both))
  for level, one in drawn.items() if basis.findings else ():
    ece = tables.number(basis.result[level]["ece"]["value"])
    css = "small-charts" if len(basis.names) > 2 else "charts"
    blocks += [
      Heading(f"Per {level}: mean ECE {ece}"),
      Figures(f"Reliability per {level}", one, css),
    ]
  blocks.append(Text(_SLOPES))
  columns = [basis.kind.capitalize(), basis.column("Intercept")]
  columns.append(basis.column("Slope"))
  for level in basis.at:
    rows = [
      [name, *(tables.measured(one[k], signed=k == "intercept") for k in one)]
      for name, one in basis.result[level]["calibration"].items()
    ]
    label = f"Calibration intercept and slope, per {level}"
    blocks += [Heading(f"Per {level}"), Table(label, columns, rows)]
  return Section("calibration", "Calibration", "Calibration", blocks)


def _drawn(basis, level):
  """The `Figure`s of one level."""
  at = basis.at[level]
  axes = ("Highest probability", "Share that is right")
  if basis.findings:
    axes = ("Stated probability", "Share that has it")
  ece = tables.measured(basis.result[level]["ece"])
  figures = []
  bins = zip(*curves.reliability(at.labels, at.probabilities))
  drawn = basis.result["bootstrap"]
  limits = bands.reliability(at, samples=drawn["samples"], seed=drawn["seed"])
  for name, (said, so, count), band in zip(
    basis.names if basis.findings else [None], bins, limits
  ):
    number = int(count.sum())
    caption = dataclasses.replace(ece, text=f"Per {level}: ECE {ece.text}")
    if basis.findings:
      caption = Cell(name, counted(number, "label"))
    chart = charts.reliability(
      said,
      so,
      count,
      names=axes,
      band=band,
      color=charts.COLORS[list(basis.at).index(level)],
      small=basis.findings and len(basis.names) > 2,
    )
    of = f" of {name}" if name else ""
    words = f"Reliability diagram per {level}{of}, with a histogram of "
    words += counted(number, "probability")
    figures.append(Figure([Chart(chart, words)], caption))
  return figures
