"""Differences between groups of patients that chance hardly makes.

A patient counts once in a group, by the mean or the first of the images there:
images of a patient are alike, and chance would look like a difference.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

# How likely chance alone makes one as large, and how large it must be: in
# standard deviations, and in shares.
_CHANCE = 0.001
_SHIFT, _SHARE = 0.5, 0.15
_FEWEST_PATIENTS = 8


def of_means(values, groups, patients) -> Iterator[tuple[str, float]]:
  """Compares the mean of each group with all others', by Welch's t-test.

  Args:
    values: float (n,), of images.
    groups: (n,), names; '' is none.
    patients: (n,).

  Yields:
    A group, and by how many standard deviations its mean is higher (Cohen's d).
  """
  means = _by_patient(values, groups, patients).mean()
  for group, own, others in _apart(means):
    spread = np.sqrt((own.var() + others.var()) / 2)
    test = stats.ttest_ind(own, others, equal_var=False)
    size = (own.mean() - others.mean()) / max(spread, 1e-9)
    if test.pvalue < _CHANCE and abs(size) > _SHIFT:
      yield group, size


def of_shares(values, groups, patients) -> Iterator[tuple[str, float]]:
  """Compares how often each group has each value, by a chi-squared test.

  Args:
    values: (n,), of images; -1 and '' are left out.
    groups: as in `of_means`.
    patients: as in `of_means`.

  Yields:
    A group, and the share of its patients that would have to change (the total
    variation distance), in [0, 1].
  """
  values = pd.Series(np.asarray(values))
  values = values.mask(values.isin(["", -1]))
  firsts = _by_patient(values, groups, patients).first().dropna()
  for group, own, others in _apart(firsts):
    table = pd.DataFrame(
      {0: own.value_counts(), 1: others.value_counts()}
    ).fillna(0)
    shares = table / table.sum()
    size = (shares[0] - shares[1]).abs().sum() / 2
    if size > _SHARE and stats.chi2_contingency(table).pvalue < _CHANCE:
      yield group, size


def _by_patient(values, groups, patients):
  images = pd.DataFrame({"value": values, "group": groups, "patient": patients})
  return images[images["group"] != ""].groupby(["group", "patient"])["value"]


def _apart(values):
  """Yields (group, its patients', all others') where neither is few."""
  of = values.index.get_level_values("group")
  for group in of.unique():
    own, others = values[of == group], values[of != group]
    if min(len(own), len(others)) >= _FEWEST_PATIENTS:
      yield group, own, others
