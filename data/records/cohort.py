"""Cohort: who a split is of, for the flow and the first table of a paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class SplitCohort:
  """From the manifest to the records of one split, in numbers.

  Attributes:
    rows: rows of the manifest, one an image, or a file of several frames.
    row_patients: patients of these rows.
    rejected: rows with an image that was left out, by kind of problem.
    label_patients: patients with an image of the class, or with the finding.
    metadata_patients: patients with an image of each value ('': not stated), by
      column.
  """

  rows: int
  row_patients: int
  rejected: Mapping[str, int]
  label_patients: Mapping[str, int]
  metadata_patients: Mapping[str, Mapping[str, int]]

  @classmethod
  def read(cls, content: Mapping | None) -> SplitCohort | None:
    """Returns what a split of dataset.json holds; earlier ones hold None."""
    return None if content is None else cls(**content)


def of_splits(description, scored: Sequence[str]) -> dict:
  """Returns counts of all splits as plain dicts, for a report.

  Args:
    description: `dataset_json.DatasetDescription`.
    scored: the splits that the report is on.

  Returns:
    "scored"; and "splits": by name the counts of `SplitDescription`, and those
    of `SplitCohort` under "cohort", None of records built without them.
  """
  kept = ("patients", "bags", "images", "labelled_images", "label_counts")
  kept = (*kept, "bag_sizes", "cohort")
  splits = dataclasses.asdict(description)["splits"]
  return {
    "scored": list(scored),
    "splits": {
      name: {key: split[key] for key in kept} for name, split in splits.items()
    },
  }
