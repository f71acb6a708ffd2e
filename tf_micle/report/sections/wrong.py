"""Section of the most wrong cases, as pictures."""

from __future__ import annotations

import base64
import io

from PIL import Image

from tf_micle.report import tables
from tf_micle.report.blocks import Cases, Cell, Heading, Section, Text

_SIDE = 320


def section(basis):
  """Returns the `Section`; None where nothing is wrong."""
  if not basis.wrong_cases:
    return None
  first = ", each by its first image" if basis.unit == "bag" else ""
  words = (
    f"The {basis.unit}s to whose truth the model gave the lowest probability"
    f"{first}, by what is true, and of each patient one. Look for wrong "
    "labels, poor pictures, and what the model cannot see. This page holds "
    "pictures of patients: keep it as you keep theirs."
  )
  blocks = [Text(words)]
  by_truth = {}
  for case in basis.wrong_cases:
    by_truth.setdefault(case.truth, []).append(_case(case))
  for truth, cases in by_truth.items():
    blocks += [Heading(truth), Cases(cases)]
  return Section("wrong", "Most wrong", "Most wrong", blocks)


def _case(case):
  picture = Image.fromarray(case.image)
  picture.thumbnail((_SIDE, _SIDE))
  file = io.BytesIO()
  picture.save(file, "JPEG", quality=88)
  data = base64.b64encode(file.getvalue()).decode("ascii")
  given = tables.percent(round(case.probability, 3))
  return (
    f"data:image/jpeg;base64,{data}",
    f"Manifest row {case.row}: truth {case.truth}, model {case.told}",
    {
      "Truth": Cell(case.truth, f"given {given}"),
      "Model": Cell(case.told),
      "Row": Cell(case.row),
      "Patient": Cell(case.patient_id, css="pseudonym"),
    },
  )
