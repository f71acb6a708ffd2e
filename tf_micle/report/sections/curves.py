"""Section of the ROC and precision-recall curves."""

from __future__ import annotations

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

_STYLES = list(zip(charts.COLORS, charts.DASHES))
_GUESSING = (
  "The dotted line marks {} specificity, the diagonal is guessing; so is the "
  "thin line of precision, at the prevalence. Bands are {} intervals over "
  "patients, point by point."
)


def section(basis):
  """Returns the `Section`: of few classes charts of all, else two a class."""
  drawn = basis.result["bootstrap"]
  points = {}
  for level, one in basis.at.items():
    found = bands.bands(one, samples=drawn["samples"], seed=drawn["seed"])
    points[level] = (
      list(zip(curves.roc_points(one.labels, one.probabilities), found["roc"])),
      list(
        zip(
          curves.precision_recall_points(one.labels, one.probabilities),
          found["pr"],
        )
      ),
    )
  # As many curves as there are colours to tell them apart.
  few = len(basis.names) <= len(_STYLES)
  blocks = (_together if few else _apart)(basis, points)
  title = "ROC and precision-recall curves"
  return Section("curves", title, "Curves", blocks)


def _together(basis, points):
  blocks = [Text(_GUESSING.format(basis.specificity, basis.interval))]
  named = ", ".join(basis.names)
  for level, (roc, pr) in points.items():
    shares = _prevalence(basis, level)
    part = basis.result[level]
    figures = [
      (charts.roc(_drawn(roc), basis.result["specificity"]), "ROC"),
      (charts.precision_recall(_drawn(pr, shares)), "Precision-recall"),
    ]
    rows = [
      [
        Cell(name, swatch=(look[0], _dashes(look[1]))),
        tables.measured(part["auroc"][name]),
        tables.measured(part["auprc"][name]),
        tables.number(share),
      ]
      for name, look, share in zip(basis.names, _STYLES, shares)
    ]
    columns = [basis.kind.capitalize(), basis.column("AUROC")]
    columns += [basis.column("AUPRC"), "Prevalence"]
    blocks += [
      Heading(f"Per {level}"),
      Figures(
        f"Curves per {level}",
        [
          Figure([Chart(svg, f"{what} curves per {level} of {named}")])
          for svg, what in figures
        ],
      ),
      Table(f"Areas under the curves, per {level}", columns, rows, "legend"),
    ]
  return blocks


def _apart(basis, points):
  legend = "; ".join(
    f"{('solid', 'dashed')[place]}: per {level}"
    for place, level in enumerate(points)
  )
  figures = []
  for c, name in enumerate(basis.names):
    drawn = []
    roc, pr = ([points[level][kind][c] for level in points] for kind in (0, 1))
    if any(one is not None for one, _ in roc):
      shares = [_prevalence(basis, level)[c] for level in points]
      specificity = basis.result["specificity"]
      drawn = [
        Chart(
          charts.roc(_drawn(roc), specificity, small=True),
          f"ROC curve of {name}",
        ),
        Chart(
          charts.precision_recall(_drawn(pr, shares), small=True),
          f"Precision-recall curve of {name}",
        ),
      ]
    lines = [
      f"Per {level}: AUROC {_value(basis, level, 'auroc', name)}, "
      f"AUPRC {_value(basis, level, 'auprc', name)}"
      for level in points
    ]
    if not drawn:
      lines.insert(0, "No curves: there are no positives, or no negatives.")
    figures.append(Figure(drawn, Cell(name), lines))
  words = (
    f"{_GUESSING.format(basis.specificity, basis.interval)} Lines are {legend}."
  )
  return [Text(words), Figures("Curves", figures, "panels")]


def _value(basis, level, metric, name):
  return tables.number(basis.result[level][metric][name]["value"])


def _drawn(found, guesses=None):
  """`charts.Curve`s of those that are defined."""
  guesses = guesses or [None] * len(found)
  return [
    charts.Curve(*one, *look, guess=guess, band=(bands.GRID, *band))
    for (one, band), look, guess in zip(found, _STYLES, guesses)
    if one is not None
  ]


def _prevalence(basis, level):
  """The share of positives of each class, None where nothing is known."""
  at = basis.at[level]
  both = zip(at.positive.sum(axis=0), at.stated.sum(axis=0))
  return [float(has / known) if known else None for has, known in both]


def _dashes(dash):
  return " ".join(str(3 * length) for length in dash)
