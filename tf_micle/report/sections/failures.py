"""Section of the failures: pictures of the most wrong cases, and heat maps."""

from __future__ import annotations

import math

from tf_micle.report import pictures, tables
from tf_micle.report.blocks import (
  Case,
  Cases,
  Cell,
  Heading,
  Notes,
  Section,
  Shown,
  Text,
)
from tf_micle.system.plurals import counted

_LARGE, _SMALL = 320, 160
TOO_ALIKE = (
  "Networks that have learnt nothing give much the same maps: these show the "
  "images, not the model."
)
_WEIGHTS = {
  "image": "In a patient's own probability all images weigh the same: it is "
  "their mean.",
  "bag": "The weight of an image is its share in the features that stand for "
  "the bag. It does not say whether the image spoke for or against.",
}


def section(basis):
  """Returns the `Section`; None where nothing is wrong."""
  cases = basis.failures.cases
  if not cases:
    return None
  shown, unit = len(cases), basis.unit
  blocks = [
    Text(
      f"These are {shown:,} of {counted(basis.failures.wrong, unit)} that the "
      "model got wrong: those to whose truth it gave the lowest probability, "
      "by what is true, and of each patient one. Under each are the patient's "
      "other images: whether the model was right there, and what it gave to "
      "the truth. Look for wrong labels, poor pictures, and what the model "
      "cannot see. This page holds pictures of patients: keep it as you keep "
      "theirs."
    ),
    Text(_WEIGHTS[unit]),
  ]
  if basis.failures.check:
    blocks += _maps(basis, cases[0].pictures[0].heat.shape)
  by_truth = {}
  for case in cases:
    by_truth.setdefault(case.truth, []).append(_case(case))
  for truth, some in by_truth.items():
    blocks += [Heading(truth), Cases(some)]
  return Section("failures", "Failures", "Failures", blocks)


def _maps(basis, places):
  """What heat maps are, do not show, and were found to depend on."""
  of = "the finding" if basis.findings else "the class that the model chose"
  check = basis.failures.check
  found = "They have no differences, so this could not be checked."
  if check["mean"] is not None:
    found = (
      f"For {counted(check['images'], 'image')}, the maps of "
      f"{counted(check['networks'], 'network')} with random weights have a "
      f"mean rank correlation of {tables.number(check['mean'])} with these, "
      f"and of {tables.number(check['highest'])} in the most alike network. "
      "It should be near 0; being so does not show that the maps are right."
    )
  blocks = [
    Text(
      f"Heat maps (Grad-CAM, Selvaraju et al. 2017) are of {of}: the lighter a "
      "place, the more it raised that score. Each map has a scale of its own. "
      "A heat map does not show what the model saw in a place, that the place "
      "is the disease, or what the model would have said without it; and "
      f"{places[0]} × {places[1]} places are all that it tells apart."
    ),
    Text(
      "Are they about the model? A map that stays when nothing was learnt says "
      f"nothing (Adebayo et al. 2018). {found}"
    ),
  ]
  if check["too_alike"]:
    blocks.append(Notes("Do not read these heat maps", [TOO_ALIKE]))
  return blocks


def _case(case):
  shown = [
    one
    for picture in case.pictures
    for one in _shown(picture, large=picture is case.pictures[0])
  ]
  facts = {
    "Truth": Cell(case.truth, f"given {_share(case.given)}"),
    "Model": Cell(case.told),
    "Patient": Cell(case.patient_id, css="pseudonym"),
  }
  lines = []
  if case.left_out:
    left = counted(case.left_out, "more image")
    lines = [f"Left out: {left} of this patient."]
  return Case(shown, facts, lines)


def _shown(picture, large):
  """The picture, and its heat map if it has one."""
  bag = picture.weight is not None
  words = [f"row {picture.row}"]
  if bag:
    words.append(f"weight {_share(picture.weight)}")
  if bag and not picture.failed:
    words.append("another bag")
  if not picture.failed and not math.isnan(picture.given):
    told = "right" if picture.right else "wrong"
    words.append(f"{told} {_share(picture.given)}")
  warm = picture.heat is not None and picture.heat.any()
  if picture.heat is not None and not warm:
    words.append("no place raised the score")
  side, words = _LARGE if large else _SMALL, ", ".join(words)
  shown = [Shown(pictures.source(picture.image, side), words, words, large)]
  if warm:
    map_ = pictures.source(pictures.heated(picture.image, picture.heat), side)
    alt = f"heat map of row {picture.row}"
    shown.append(Shown(map_, alt, "heat map", large))
  return shown


def _share(share):
  return "<0.1%" if 0 < share < 0.0005 else tables.percent(round(share, 3))
