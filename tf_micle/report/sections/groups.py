"""Section of the groups: the items of each value of a metadata column."""

from __future__ import annotations

from tf_micle.evaluation.evaluation_notes import FEW_PATIENTS
from tf_micle.report import tables
from tf_micle.report.blocks import Heading, Section, Table, Text

_SHOWN = {
  "multi_class": ("top1", "balanced_accuracy", "mean_auroc"),
  "multi_label": ("mean_auroc", "mean_auprc", "mean_sensitivity"),
}


def section(study):
  """Returns the `Section`; None without metadata."""
  groups = study.result.get("groups")
  if not groups:
    return None
  shown = _SHOWN[study.result["task"]]
  names = tables.scalars(study.result)
  columns = ["Value", f"{study.unit.capitalize()}s", "Patients"]
  columns += [study.column(names[key][0]) for key in shown]
  few = any(
    group["patients"] < FEW_PATIENTS
    for values in groups.values()
    for group in values.values()
  )
  mark = f" † marks groups of fewer than {FEW_PATIENTS} patients." * few
  blocks = [
    Text(
      f"The {study.unit}s of each value of a metadata column, measured alone. "
      f"Groups differ in their mix of {study.kinds} too, so a difference "
      f"between them need not come from the group.{mark}"
    )
  ]
  for column, values in groups.items():
    rows = [
      [
        f"{value} †" if group["patients"] < FEW_PATIENTS else value,
        f"{group['items']:,}",
        f"{group['patients']:,}",
        *(tables.measured(group.get(key), bar=True) for key in shown),
      ]
      for value, group in values.items()
    ]
    label = f"By {column}"
    blocks += [Heading(column), Table(label, columns, rows, "groups")]
  return Section("groups", "By group", "By group", blocks)
