"""Section of the flow: from the manifest's rows to what is scored."""

from __future__ import annotations

import collections

import numpy as np

from tf_micle.report import flow_chart, tables
from tf_micle.report.blocks import Chart, Figure, Figures, Section, Table, Text
from tf_micle.system.plurals import counted

_FROM_MANIFEST = (
  "From the manifest to what counts. A row is an image, or a file of several "
  "frames; rejected.csv beside the records has the reason for each rejected "
  "row. Who was left out before the manifest was made is the author’s to tell."
)
_FROM_RECORDS = (
  "From the records to what counts. How many rows of a manifest were rejected "
  "is not known: an earlier version built these records, or they are a public "
  "data set."
)


def section(basis):
  """Returns the `Section`."""
  cohort = basis.result.get("cohort") or {"splits": {}, "scored": []}
  splits = cohort["splits"]
  own = {name: splits[name] for name in cohort["scored"]}
  whole = bool(splits) and all(one["cohort"] for one in splits.values())
  steps = _manifest(splits.values()) if whole else []
  steps += _records(basis, splits, own) if splits else []
  steps += _scored(basis)
  boxes, asides = zip(*steps)
  told = [part for step in steps for part in step if part]
  words = "; then ".join(part.replace("\n", ": ", 1) for part in told)
  svg = flow_chart.flow(boxes, asides[:-1])
  figure = Figures("Flow", [Figure([Chart(svg, f"Flow. {words}")])], "flow")
  text = Text(_FROM_MANIFEST if whole else _FROM_RECORDS)
  return Section("flow", "Flow", "Flow", [text, figure, _table(basis)])


# Each step: (what there is, what leaves after it), their first lines names.


def _manifest(splits):
  rows, patients, rejected = 0, 0, collections.Counter()
  for one in splits:
    rows += one["cohort"]["rows"]
    patients += one["cohort"]["row_patients"]
    rejected.update(one["cohort"]["rejected"])
  there = f"{counted(rows, 'row')} of {counted(patients, 'patient')}"
  out = [f"Rejected\n{counted(rejected.total(), 'row')}"]
  out += [f"{count:,} {kind}" for kind, count in sorted(rejected.items())]
  return [(f"Manifest\n{there}", "\n".join(out))]


def _records(basis, splits, own):
  others = [one for name, one in splits.items() if name not in own]
  out = []
  if others:
    out.append(f"Other splits\n{_images_of(others)}")
  damaged = sum(one["images"] for one in own.values()) - _images(basis)
  if damaged > 0:
    out.append(f"In damaged records\n{counted(damaged, 'image')}")
  return [(f"Records\n{_images_of(splits.values())}", "\n".join(out))]


def _scored(basis):
  items, unit = basis.predictions, basis.unit
  stated = items.stated.any(axis=1)
  there = counted(_images(basis), "image")
  if unit != "image":
    there += f" in {counted(len(items), unit)}"
  there += f" of {counted(len(basis.at['patient']), 'patient')}"
  counts = _left_out(items)
  out = [f"Not scored\n{counted(sum(counts.values()), unit)}"]
  out += [f"{count:,} {why}" for why, count in counts.items() if count]
  steps = [(f"This split\n{there}", "\n".join(out))]
  if unit == "patient":
    return [*steps, (f"Scored\n{counted(int(stated.sum()), unit)}", "")]
  behind = len(np.unique(items.patient_id[stated]))
  scored = int(basis.at["patient"].stated.any(axis=1).sum())
  why = "uncertain" if basis.findings else "of several labels"
  out = f"Not scored per patient\n{counted(behind - scored, 'patient')} {why}"
  there = f"{counted(int(stated.sum()), unit)} of {counted(behind, 'patient')}"
  return [
    *steps,
    (f"Scored per {unit}\n{there}", out * (behind > scored)),
    (f"Scored per patient\n{counted(scored, 'patient')}", ""),
  ]


def _images(basis):
  return sum(len(rows.split()) for rows in basis.predictions.row)


def _images_of(splits):
  images, patients = (
    sum(one[key] for one in splits) for key in ("images", "patients")
  )
  return f"{counted(images, 'image')} of {counted(patients, 'patient')}"


def _left_out(items):
  """How many items have no label that counts, by the reason."""
  stated = items.stated.any(axis=1)
  uncertain = np.zeros(len(items), bool)
  if items.task == "multi_label":
    uncertain = (items.labels == -1).any(axis=1) & ~stated
  several = items.unit != "image" and items.task == "multi_class"
  none = "without a label" + ", or of several" * several
  return {
    "uncertain only": int(uncertain.sum()),
    none: int((~stated & ~uncertain).sum()),
  }


def _table(basis):
  rows = []
  for level, at in basis.at.items():
    counts = [*_left_out(at).values(), int(at.stated.any(axis=1).sum())]
    cells = [tables.part_of(count, len(at)) for count in counts]
    rows.append([f"{level.capitalize()}s", f"{len(at):,}", *cells])
  none = "No label" + ", or several" * (not basis.findings)
  columns = ["Level", "Given", "Uncertain only", none, "Scored"]
  return Table("Flow", columns, rows)
