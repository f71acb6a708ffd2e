"""Report of an evaluation: one page that needs no network and no scripts.

All text goes through Jinja's autoescaping (page.html); a policy in the
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

from tf_micle.evaluation.predictions import Predictions
from tf_micle.report import sections as report_sections
from tf_micle.report import tables as report_tables
from tf_micle.system.plurals import counted
from tf_micle.system.written_whole import written_whole

_FOLDER = pathlib.Path(__file__).parent
_PICTURE_SIDE = 320


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
    result: what `evaluate.evaluate` gave for `predictions`.
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
  facts = title_facts or {}
  page = rendered(
    _FOLDER / "page.html",
    title=facts.get("data"),
    compared_with=facts.get("compared_with"),
    counted=counted,
    **report_sections.context(result, predictions),
    wrong_cases=[_wrong_case(case) for case in wrong_cases],
    facts={
      name.replace("_", " ").capitalize(): _fact(value)
      for name, value in facts.items()
    },
    warnings=warnings,
  )
  with written_whole(path) as file:
    file.write(page)


def rendered(template: pathlib.Path, **context) -> str:
  """Returns a page of a template, all text escaped, with the reports' CSS."""
  # No pretty error for a missing name: StrictUndefined makes it an exception.
  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_text,
  )
  css = (_FOLDER / "page.css").read_text(encoding="utf-8")
  text = template.read_text(encoding="utf-8")
  return environment.from_string(text).render(css=css, **context)


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
