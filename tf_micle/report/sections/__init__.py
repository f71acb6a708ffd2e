"""Sections of a report: each a file with `section(study)`, in this order."""

from __future__ import annotations

from tf_micle.report.sections import (
  calibration,
  classes,
  comparison,
  confusion,
  curves,
  groups,
  methods,
  numbers,
  provenance,
  wrong,
)

_ORDER = (
  numbers,
  comparison,
  classes,
  curves,
  confusion,
  calibration,
  groups,
  wrong,
  methods,
  provenance,
)


def of(study):
  """Returns the `blocks.Section`s of a `study.Study` that have something."""
  made = [one.section(study) for one in _ORDER]
  return [one for one in made if one]
