"""Section of the checklists: what of a guideline the report fills in."""

from __future__ import annotations

import csv
import pathlib

from tf_micle.report.blocks import Cell, Heading, Section, Table, Text

_FOLDER = pathlib.Path(__file__).parent.parent / "checklists"
_LISTS = {"CLAIM 2024": "claim_2024.csv", "TRIPOD+AI": "tripod_ai.csv"}
_WORDS = (
  "Two guidelines for papers, item by item and in our own words; the "
  "originals count (Tejani et al. 2024, Radiology: AI 6:e240300; Collins et "
  "al. 2024, BMJ 385:e078378). “Filled” names where; “partly” and “the "
  "author’s” are for you."
)


def section(basis):
  """Returns the `Section`."""
  blocks = [Text(_WORDS)]
  for title, name in _LISTS.items():
    with open(_FOLDER / name, newline="", encoding="utf-8") as file:
      rows = [_row(basis, line) for line in csv.DictReader(file)]
    columns = ["Item", "Asks for", "State", "Where"]
    blocks += [Heading(title), Table(title, columns, rows, "words")]
  return Section("checklists", "Checklists for a paper", "Checklists", blocks)


def _row(basis, line):
  needs = line["needs"]
  part = needs.removesuffix("_partly")
  if needs in ("filled", "partly"):
    state = needs
  elif _known(basis, part):
    state = "partly" if part != needs else "filled"
  else:
    state = "the author’s"
  where = line["where"] if state != "the author’s" else ""
  return [line["item"], line["asks"], Cell(state, css=state[:3]), where]


def _known(basis, part):
  """Whether the evaluation has what an item needs."""
  result, data_are = basis.result, basis.facts.get("data_are")
  if part == "two_sites":
    return result.get("difference") and not result.get("paired", True)
  if part == "own_splits":
    cohort = result.get("cohort")
    return cohort and (data_are == "internal" or cohort.get("compared"))
  return result.get(part) or part == data_are
