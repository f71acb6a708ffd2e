"""Model card, from a run and an evaluation of it, with blanks for the rest."""

from __future__ import annotations

import os
import pathlib
import re

import jinja2

from tf_micle.report import tables
from tf_micle.report.basis import Basis
from tf_micle.report.page import lead
from tf_micle.report.sections import decisions, failures, summary
from tf_micle.system.written_whole import written_whole

_TEMPLATE = pathlib.Path(__file__).parent / "model_card.md.jinja"


def write(path: str | os.PathLike, basis: Basis, flags: dict) -> None:
  """Writes model_card.md.

  Args:
    path: of the file.
    basis: as for the page.
    flags: of the run.
  """
  facts, result = basis.facts, basis.result
  environment = jinja2.Environment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
  )
  environment.filters["plain"] = _plain
  template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
  points = result.get("operating_points")
  versions = facts.get("versions") or {}
  measured = [
    (name, tables.measured(result["patient"].get(key)))
    for key, (name, _, _) in tables.scalars(result).items()
    if key in result["patient"]
  ]
  text = template.render(
    model=facts.get("model", "not known"),
    facts=facts,
    findings=basis.findings,
    unit=basis.unit,
    names=basis.names,
    encoder=_encoder(flags),
    software=", ".join(f"{name} {one}" for name, one in versions.items()),
    decision=(
      f"Thresholds: chosen on {_plain(points['data'])} "
      f"({decisions.rule(points)})"
      if points
      else "Thresholds: none were chosen"
    ),
    calibrated=(
      "Probabilities: calibrated on validation"
      if points and points["calibration"]
      else "Probabilities: as the model gives them, not calibrated"
    ),
    lead=lead(basis),
    summary=[block.text for block in summary.section(basis).blocks],
    rows=[(name, cell.text, cell.detail) for name, cell in measured],
    cautions=[*result.get("warnings", []), *result["notes"], *_maps(result)],
  )
  with written_whole(path) as file:
    file.write(text + "\n")


def _maps(result):
  """What the check of heat maps found, if it is bad."""
  alike = result.get("heat_maps", {}).get("too_alike")
  return [f"Heat maps: do not read them. {failures.TOO_ALIKE}"] if alike else []


def _encoder(flags):
  """The network in a line."""
  shown = ("resnet_depth", "resnet_variant", "width_multiplier", "image_size")
  known = [f"{name} {flags[name]}" for name in shown if name in flags]
  return ", ".join(["ResNet", *known])


def _plain(text):
  """Text that Markdown shows as it is."""
  text = re.sub(r"\s+", " ", str(text))
  return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", text)
