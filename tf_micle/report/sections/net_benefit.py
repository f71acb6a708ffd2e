"""Section of net benefit: is acting on the model better than on everybody?"""

from __future__ import annotations

from tf_micle.evaluation import bands, curves
from tf_micle.report import charts
from tf_micle.report.blocks import (
  Cell,
  Chart,
  Figure,
  Figures,
  Heading,
  Section,
  Text,
)

_WORDS = (
  "Net benefit counts true positives, less false positives at the exchange "
  "rate that the threshold stands for: who acts at a probability of 10% "
  "accepts nine false alarms for one hit. The model (solid) helps where it is "
  "above acting on everybody (dashed) and above acting on nobody (the line at "
  "0). Look at the range of thresholds that care would use. Bands are {} "
  "intervals of the model’s curve over patients, point by point."
)


def section(basis):
  """Returns the `Section`; None where no class has a curve."""
  blocks = [Text(_WORDS.format(basis.interval))]
  drawn = basis.result["bootstrap"]
  for level, at in basis.at.items():
    found = curves.net_benefit(at.labels, at.probabilities)
    around = bands.net_benefit(at, samples=drawn["samples"], seed=drawn["seed"])
    figures = [
      Figure([_chart(name, level, band, *one)], Cell(name))
      for name, one, band in zip(basis.names, found, around)
      if one is not None
    ]
    if figures:
      label = f"Net benefit per {level}"
      blocks += [
        Heading(f"Per {level}"),
        Figures(label, figures, "small-charts"),
      ]
  if len(blocks) == 1:
    return None
  return Section("net-benefit", "Net benefit", "Net benefit", blocks)


def _chart(name, level, band, thresholds, model, everybody):
  everybody = charts.Curve(
    thresholds, everybody, charts.COLORS[6], charts.DASHES[1]
  )
  ours = charts.Curve(thresholds, model, band=(thresholds, *band))
  svg = charts.net_benefit([ours, everybody], small=True)
  return Chart(svg, f"Decision curve of {name} per {level}")
