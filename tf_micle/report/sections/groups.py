"""Section of the groups: the items of each value of a metadata column."""

from __future__ import annotations

from tf_micle.evaluation import subgroups
from tf_micle.evaluation.evaluation_notes import FEW_PATIENTS
from tf_micle.report import tables
from tf_micle.report.blocks import Cell, Heading, Section, Table, Text

_SHOWN = {
  "multi_class": ("top1", "balanced_accuracy", "mean_auroc"),
  "multi_label": ("mean_auroc", "mean_auprc", "mean_sensitivity"),
}


_BY_PATIENT = (
  "Each {} against the rest, with the thresholds that were fixed beforehand. A "
  "difference is what the group has more than all other patients, with its "
  f"interval. A group with fewer than {subgroups.FEWEST} patients of either "
  "kind is too small to say."
)


def section(basis):
  """Returns the `Section`; None without metadata."""
  groups = basis.result.get("groups")
  if not groups:
    return None
  shown = _SHOWN[basis.result["task"]]
  names = tables.scalars(basis.result)
  columns = ["Value", f"{basis.unit.capitalize()}s", "Patients"]
  columns += [basis.column(names[key][0]) for key in shown]
  few = any(
    group.get("patients", FEW_PATIENTS) < FEW_PATIENTS
    for values in groups.values()
    for group in values.values()
  )
  mark = f" † marks groups of fewer than {FEW_PATIENTS} patients." * few
  blocks = [
    Text(
      f"The {basis.unit}s of each value of a metadata column, measured alone. "
      f"Groups differ in their mix of {basis.kinds} too, so a difference "
      f"between them need not come from the group.{mark}"
    )
  ]
  told = False
  for column, values in groups.items():
    rows = [
      [
        f"{value} †" if group["patients"] < FEW_PATIENTS else value,
        f"{group['items']:,}",
        f"{group['patients']:,}",
        *(tables.measured(group.get(key), bar=True) for key in shown),
      ]
      for value, group in values.items()
      if "items" in group
    ]
    label = f"By {column}"
    blocks += [
      Heading(column),
      Table(label, columns, rows, "groups"),
    ]
    # One value alone has nobody to be compared with.
    if len(values) > 1:
      blocks.append(Heading(f"{column}, per patient"))
      if not told:
        blocks.append(Text(_BY_PATIENT.format(basis.kind)))
      told = True
      blocks.append(_by_patient(basis, column, values))
  return Section("groups", "By group", "By group", blocks)


def _by_patient(basis, column, values):
  shown = [
    name
    for name in subgroups.METRICS
    if name == "auroc" or basis.result.get("operating_points")
  ]
  titles = [_TITLES.get(name, name) for name in shown]
  columns = ["Group", "With", "Without"]
  columns += [basis.column(title[0].upper() + title[1:]) for title in titles]
  columns += [f"Difference in {title}" for title in titles]
  rows = []
  for value, group in values.items():
    for name, one in group.get("by_patient", {}).items():
      counts = [f"{one['positives']:,}", f"{one['negatives']:,}"]
      cells = [Cell("too small to say", undefined=True)]
      cells += [Cell("–")] * (2 * len(shown) - 1)
      if "difference" in one:
        cells = [tables.measured(one[key]) for key in shown]
        cells += [
          tables.measured(one["difference"][key], signed=True) for key in shown
        ]
      rows.append([f"{value}: {name}", *counts, *cells])
  return Table(f"By {column}, per patient", columns, rows, "by-patient")


_TITLES = {"auroc": "AUROC"}
