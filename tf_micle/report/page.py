"""Report of an evaluation: one page that needs no network and no scripts.

All text goes through Jinja's autoescaping (page.html); a policy in the
page forbids scripts and loading, should something slip through.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import jinja2

from tf_micle.evaluation import intervals
from tf_micle.report import charts
from tf_micle.report import sections as report_sections
from tf_micle.report.basis import Basis
from tf_micle.report.blocks import Section
from tf_micle.system.plurals import counted
from tf_micle.system.written_whole import written_whole

_FOLDER = pathlib.Path(__file__).parent


def write(
  path: str | os.PathLike,
  basis: Basis,
  *,
  warnings: Sequence[str] = (),
) -> list[Section]:
  """Writes report.html; a file that stands is replaced when complete.

  Args:
    path: of the page.
    basis: what to report. Of its facts, which are text, number, None, or a
      list or dict of such, in the order to show, "data" titles the page.
    warnings: what must be read before any number.

  Returns:
    The sections that the page shows.

  Raises:
    ValueError: the result is of other predictions.
    OSError: the file cannot be written.
  """
  _check(basis.result, basis.predictions)
  sections = report_sections.of(basis)
  page = rendered(
    sections,
    kind="Evaluation report",
    title=basis.facts.get("data"),
    lead=lead(basis),
    warnings=warnings,
    caution="The numbers describe these data and this model. They do not show "
    "that the model is fit for care.",
  )
  with written_whole(path) as file:
    file.write(page)
  return sections


def rendered(
  sections: Sequence[Section],
  *,
  kind: str,
  title: str | None,
  lead: str,
  caution: str,
  warnings: Sequence[str] = (),
) -> str:
  """Returns a page that needs no network, all text of it escaped.

  Args:
    sections: in order.
    kind: of the page, above its title.
    title: of the page; None: that of an evaluation without a name.
    lead: a sentence below it.
    caution: the last words.
    warnings: what must be read before any number.
  """
  return filled(
    _FOLDER / "page.html",
    no_width=intervals.NO_WIDTH,
    sections=sections,
    kind=kind,
    title=title,
    lead=lead,
    caution=caution,
    warnings=warnings,
  )


def filled(template: pathlib.Path, **context) -> str:
  """Returns a page of a template, all text escaped, with the reports' CSS."""
  # No pretty error for a missing name: StrictUndefined makes it an exception.
  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_text,
  )
  environment.filters["data_uri"] = charts.source
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


def lead(basis: Basis) -> str:
  """What was evaluated, in a sentence."""
  unit, found = basis.unit, basis.result[basis.unit]
  of = f" of {counted(found['patients'], 'patient')}" * (unit != "patient")
  each = "each present or absent" if basis.findings else "one of which is true"
  each += f" of each {unit}" * (not basis.findings)
  return (
    f"{counted(found['items'], unit)}{of}, {found['labelled']:,} of them "
    f"labelled; {counted(len(basis.names), basis.kind)}, {each}."
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
