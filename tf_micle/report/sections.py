"""Sections of a report: numbers as text, curves as pictures."""

from __future__ import annotations

from tf_micle.evaluation import curves, intervals
from tf_micle.evaluation.evaluation_notes import FEW_PATIENTS
from tf_micle.evaluation.predictions import Predictions, at_level
from tf_micle.report import charts as report_charts
from tf_micle.report import tables as report_tables

# As many curves as there are colours to tell them apart.
_MOST_IN_ONE_CHART = len(report_charts.COLORS)
_CARDS = {
  "multi_class": ("balanced_accuracy", "mean_auroc", "top1"),
  "multi_label": ("mean_auroc", "mean_auprc", "mean_sensitivity"),
}


def context(result: dict, predictions: Predictions) -> dict:
  """All that the template shows but pictures and facts.

  Args:
    result: what `evaluate.evaluate` gave for `predictions`.
    predictions: of one model on one split.
  """
  tables = report_tables
  levels = list(dict.fromkeys((result["unit"], "patient")))
  at = {level: at_level(level, predictions) for level in levels}
  headline = tables.headline(result, levels)
  names = tables.scalars(result)
  cards = [names[key][0] for key in _CARDS[result["task"]]]
  return {
    "result": result,
    "levels": levels,
    "headline": headline,
    "cards": sorted(
      (row for row in headline if row["name"] in cards),
      key=lambda row: cards.index(row["name"]),
    ),
    "specificity": tables.percent(result["specificity"]),
    "interval": tables.percent(result["bootstrap"]["level"]),
    "few_patients": FEW_PATIENTS,
    "no_width": intervals.NO_WIDTH,
    "classes": {
      level: tables.classes(result, level, at[level].stated.sum(axis=0))
      for level in levels
    },
    "curves": _curves(result, at),
    "confusion": {
      level: _confusion(one.labels, one.probabilities)
      for level, one in at.items()
    },
    "calibration": _calibration(result, at),
    "groups": tables.groups(result),
    "difference": {
      level: tables.difference(result, level)
      for level in result.get("difference") or {}
    },
  }


def _curves(result, at):
  """Few classes: charts of all at each level. Many: two charts a class."""
  names, specificity = result["class_names"], result["specificity"]
  points = {
    level: (
      curves.roc_points(one.labels, one.probabilities),
      curves.precision_recall_points(one.labels, one.probabilities),
    )
    for level, one in at.items()
  }
  styles = list(zip(report_charts.COLORS, report_charts.DASHES))

  def drawn(found, looks):
    return [
      report_charts.Curve(*one, *look)
      for one, look in zip(found, looks)
      if one is not None
    ]

  areas = report_tables.measured

  if len(names) <= _MOST_IN_ONE_CHART:
    return {
      "together": [
        {
          "level": level,
          "roc": report_charts.source(
            report_charts.roc(drawn(roc, styles), specificity)
          ),
          "pr": report_charts.source(
            report_charts.precision_recall(drawn(pr, styles), None)
          ),
          "legend": [
            {
              "name": name,
              "color": color,
              "dash": " ".join(str(3 * length) for length in dash),
              "auroc": areas(result[level]["auroc"][name]),
              "auprc": areas(result[level]["auprc"][name]),
            }
            for name, (color, dash) in zip(names, styles)
          ],
        }
        for level, (roc, pr) in points.items()
      ]
    }
  unit = result["unit"]
  known = at[unit].stated.sum(axis=0)
  cards = []
  for c, name in enumerate(names):
    roc, pr = (
      drawn([points[level][kind][c] for level in at], styles) for kind in (0, 1)
    )
    share = result[unit]["positives"][name] / max(int(known[c]), 1)
    cards.append(
      {
        "name": name,
        "roc": report_charts.source(
          report_charts.roc(roc, specificity, small=True)
        ),
        "pr": report_charts.source(
          report_charts.precision_recall(pr, share, small=True)
        ),
        "drawn": bool(roc),
        "auroc": {level: areas(result[level]["auroc"][name]) for level in at},
        "auprc": {level: areas(result[level]["auprc"][name]) for level in at},
      }
    )
  legend = [
    {"level": level, "color": color, "dash": " ".join(str(3 * d) for d in dash)}
    for level, (color, dash) in zip(at, styles)
  ]
  return {"apart": cards, "legend": legend}


def _confusion(labels, probabilities):
  counts = curves.confusion(labels, probabilities)
  if counts.ndim == 2:
    return report_tables.confusion(counts)
  # A finding a line: truth present (found, missed), then absent (false alarm,
  # let go).
  return [
    [cell for row in report_tables.confusion(two[::-1, ::-1]) for cell in row]
    for two in counts
  ]


def _calibration(result, at):
  """A chart a level, or a chart a level and finding."""
  findings = result["task"] == "multi_label"
  axes = (
    ("Stated probability", "Share that has it")
    if findings
    else ("Highest probability", "Share that is right")
  )
  small = findings and len(result["class_names"]) > 2
  found = []
  for (level, one), color in zip(at.items(), report_charts.COLORS):
    bins = zip(*curves.reliability(one.labels, one.probabilities))
    charts = [
      {
        "name": name,
        "count": int(count.sum()),
        "source": report_charts.source(
          report_charts.reliability(
            said, so, count, names=axes, color=color, small=small
          )
        ),
      }
      for name, (said, so, count) in zip(
        result["class_names"] if findings else [None], bins
      )
    ]
    ece = report_tables.measured(result[level]["ece"])
    found.append({"level": level, "charts": charts, "ece": ece})
  return {"small": small, "levels": found}
