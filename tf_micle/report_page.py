"""The report of an evaluation: one page that needs no network and no scripts.

All text goes through Jinja's autoescaping (report_page.html); a policy in the
page forbids scripts and loading, should something slip through.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import pathlib

import jinja2
import numpy as np
from PIL import Image

from tf_micle import metrics, report_charts, report_tables
from tf_micle.predictions import Predictions, by_patient
from tf_micle.written_whole import written_whole

_FOLDER = pathlib.Path(__file__).parent
# As many curves as there are colours to tell them apart.
_MOST_IN_ONE_CHART = len(report_charts.COLORS)
_PICTURE_SIDE = 320
_CARDS = {
  "multi_class": ("balanced_accuracy", "mean_auroc", "top1"),
  "multi_label": ("mean_auroc", "mean_auprc", "mean_sensitivity"),
}


@dataclasses.dataclass(frozen=True)
class WrongCase:
  """An item that the model got wrong.

  Attributes:
    image: uint8 (h, w, 3); of a bag, its first.
    row: manifest row(s).
    patient_id: the patient's pseudonym.
    truth: what is true, such as a class name.
    told: what the model said.
    probability: what the model gave to the truth, in [0, 1].
  """

  image: np.ndarray
  row: str
  patient_id: str
  truth: str
  told: str
  probability: float


def write(
  path: str | os.PathLike,
  *,
  result: dict,
  predictions: Predictions,
  wrong_cases: list[WrongCase] | tuple[WrongCase, ...] = (),
  title_facts: dict | None = None,
  warnings: list[str] | tuple[str, ...] = (),
) -> None:
  """Writes report.html; a file that stands is replaced when complete.

  Args:
    path: of the page.
    result: what `evaluation.evaluate` gave for `predictions`.
    predictions: of one model on one split.
    wrong_cases: the most wrong first.
    title_facts: where the result comes from: text, number, None, or a list or
      dict of such, by name, in the order to show. "data" titles the page;
      "compared_with" names the other model.
    warnings: what must be read before any number.

  Raises:
    ValueError: `result` is of other predictions.
    OSError: the file cannot be written.
  """
  _check(result, predictions)
  # No pretty error for a missing name: StrictUndefined makes it an exception.
  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_text,
  )
  template = environment.from_string(
    (_FOLDER / "report_page.html").read_text(encoding="utf-8")
  )
  facts = title_facts or {}
  page = template.render(
    title=facts.get("data"),
    compared_with=facts.get("compared_with"),
    **_context(result, predictions),
    wrong_cases=[_wrong_case(case) for case in wrong_cases],
    facts={
      name.replace("_", " ").capitalize(): _fact(value)
      for name, value in facts.items()
    },
    warnings=warnings,
    css=(_FOLDER / "report_page.css").read_text(encoding="utf-8"),
  )
  with written_whole(path) as file:
    file.write(page)


def _check(result, predictions):
  for name in ("task", "unit"):
    if result[name] != getattr(predictions, name):
      raise ValueError(
        f"Expected the predictions that the result is of, {name} "
        f"{result[name]!r}. Received: {getattr(predictions, name)!r}."
      )
  expected = (list(result["class_names"]), result[result["unit"]]["items"])
  received = (list(predictions.class_names), len(predictions))
  if expected != received:
    raise ValueError(
      "Expected the predictions that the result is of, with classes and items "
      f"{expected}. Received: {received}."
    )


def _text(value):
  """What HTML cannot hold (control and half characters) becomes a mark."""
  if not isinstance(value, str):
    return value
  shown = "".join(
    "\ufffd" if (ord(c) < 32 and c not in "\n\t\r") or ord(c) == 127 else c
    for c in value
  ).encode("utf-8", "replace")
  # Markup (the page's own) stays Markup, so that it is not escaped twice.
  return type(value)(shown.decode("utf-8"))


def _fact(value):
  if value is None:
    return "not known"
  if isinstance(value, dict):
    return ", ".join(f"{name} {one}" for name, one in value.items())
  if isinstance(value, (list, tuple)):
    return ", ".join(str(one) for one in value) or "none"
  return str(value)


def _context(result, predictions):
  """All that the template shows but pictures and facts."""
  tables = report_tables
  levels = list(dict.fromkeys((result["unit"], "patient")))
  at = {
    level: by_patient(predictions) if level != predictions.unit else predictions
    for level in levels
  }
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
    "few_patients": tables.FEW_PATIENTS,
    "classes": {
      level: tables.classes(result, level, _known(at[level]))
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


def _known(predictions):
  """(C,) items whose label of the class is known."""
  labels = predictions.labels
  if predictions.task == "multi_class":
    return np.full(len(predictions.class_names), (labels >= 0).sum())
  return np.isin(labels, (0, 1)).sum(axis=0)


def _curves(result, at):
  """Few classes: charts of all at each level. Many: two charts a class."""
  names, specificity = result["class_names"], result["specificity"]
  points = {
    level: (
      metrics.roc_points(one.labels, one.probabilities),
      metrics.precision_recall_points(one.labels, one.probabilities),
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
          "roc": _source(report_charts.roc(drawn(roc, styles), specificity)),
          "pr": _source(
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
  known = _known(at[unit])
  cards = []
  for c, name in enumerate(names):
    roc, pr = (
      drawn([points[level][kind][c] for level in at], styles) for kind in (0, 1)
    )
    share = result[unit]["positives"][name] / max(int(known[c]), 1)
    cards.append(
      {
        "name": name,
        "roc": _source(report_charts.roc(roc, specificity, small=True)),
        "pr": _source(report_charts.precision_recall(pr, share, small=True)),
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
  counts = metrics.confusion(labels, probabilities)
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
    bins = zip(*metrics.reliability(one.labels, one.probabilities))
    charts = [
      {
        "name": name,
        "count": int(count.sum()),
        "source": _source(
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


def _source(svg):
  """SVG text -> what <img src> takes."""
  data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
  return f"data:image/svg+xml;base64,{data}"


def _wrong_case(case):
  picture = Image.fromarray(case.image)
  picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
  file = io.BytesIO()
  picture.save(file, "JPEG", quality=88)
  data = base64.b64encode(file.getvalue()).decode("ascii")
  return {
    "source": f"data:image/jpeg;base64,{data}",
    "row": case.row,
    "patient_id": case.patient_id,
    "truth": case.truth,
    "told": case.told,
    "probability": report_tables.percent(round(case.probability, 3)),
  }
