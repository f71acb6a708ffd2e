"""Sections of a report: each a file with `section(basis)`, in this order."""

from __future__ import annotations

from tf_micle.report.sections import (
  calibration,
  checklists,
  classes,
  cohort,
  comparison,
  confusion,
  curves,
  decisions,
  failures,
  flow,
  groups,
  methods,
  net_benefit,
  numbers,
  provenance,
  summary,
)

_ORDER = (
  summary,
  flow,
  cohort,
  numbers,
  comparison,
  decisions,
  classes,
  curves,
  confusion,
  calibration,
  net_benefit,
  groups,
  failures,
  methods,
  checklists,
  provenance,
)


def of(basis):
  """Returns the `blocks.Section`s that a `basis.Basis` has something for."""
  made = [one.section(basis) for one in _ORDER]
  return [one for one in made if one]
