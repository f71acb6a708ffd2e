"""Splits by patient, drawn from a seed: no patient is in two of them.

The draw depends on the seed and on the patients' ids, not on the order of the
manifest. Each stratum (patients with the same label) is divided by the
fractions, rounded by largest remainder, such that the whole is, too.
"""

from __future__ import annotations

import collections
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from data.problems import DataError, counted

DEFAULT_FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}

# TFDS reads split='all' as the union of the splits.
_SPLIT_NAME = re.compile(r"(?!all$)(?=.*[A-Za-z0-9])[A-Za-z0-9_]+")
_UNLABELLED = ""


def is_split_name(name: str) -> bool:
  """Returns whether a split may have this name in files and in TFDS."""
  return bool(_SPLIT_NAME.fullmatch(name))


def parse_fractions(items: Sequence[str]) -> dict[str, float]:
  """Reads ['train=0.8', 'test=0.2'].

  Raises:
    DataError: with what was expected and what came.
  """
  fractions = {}
  for item in items:
    name, _, value = (part.strip() for part in item.partition("="))
    try:
      fraction = float(value)
    except ValueError:
      fraction = math.nan
    if not is_split_name(name) or not 0 < fraction <= 1:
      raise DataError(
        'Expected NAME=FRACTION, NAME of letters, digits and _ (not "all"), '
        f"FRACTION above 0 and up to 1. Received: {item!r}."
      )
    if name in fractions:
      raise DataError(f"Expected each split once. Received: {name!r} twice.")
    fractions[name] = fraction
  total = sum(fractions.values())
  if abs(total - 1) > 1e-6:
    raise DataError(f"Expected fractions that sum to 1. Received: {total:g}.")
  return fractions


def drawn_place(seed: int, name: str) -> bytes:
  """Returns what to sort names by, for an order that a seed draws.

  The place of a name does not depend on which others there are.
  """
  return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def multi_class_strata(
  labels: Mapping[str, Sequence[str | None]],
) -> dict[str, str]:
  """Maps each patient to the most frequent label of their images.

  Args:
    labels: class names of each patient's images, None where unlabelled.

  Returns:
    Patient to class name; '' for patients without a label. Of equally
    frequent labels the first in alphabetical order.
  """
  strata = {}
  for patient, names in labels.items():
    counts = collections.Counter(name for name in names if name is not None)
    strata[patient] = min(
      counts, key=lambda name: (-counts[name], name), default=_UNLABELLED
    )
  return strata


def multi_label_strata(
  labels: Mapping[str, Sequence[Sequence[float]]],
) -> dict[str, str]:
  """Maps each patient to the rarest finding that is positive in an image.

  Args:
    labels: for each patient, C values an image: 1, 0, -1 or NaN.

  Returns:
    Patient to '0' ... 'C-1', 'none' without a positive finding, or '' without
    any label. Rarest by number of patients.
  """
  positives = {
    patient: {i for values in images for i, v in enumerate(values) if v == 1}
    for patient, images in labels.items()
  }
  patients_with = collections.Counter(
    finding for findings in positives.values() for finding in findings
  )
  strata = {}
  for patient, findings in positives.items():
    if findings:
      rarest = min(findings, key=lambda i: (patients_with[i], i))
      strata[patient] = str(rarest)
    else:
      labelled = any(not math.isnan(v) for row in labels[patient] for v in row)
      strata[patient] = "none" if labelled else _UNLABELLED
  return strata


def draw_splits(
  strata: Mapping[str, str], fractions: Mapping[str, float], seed: int
) -> dict[str, str]:
  """Draws a split for each patient.

  Args:
    strata: patient to stratum, at least as many patients as splits.
    fractions: split to fraction, summing to 1.
    seed: of the draw.

  Returns:
    Patient to split. In each stratum, and over all, the number of a split's
    patients is its share rounded up or down; then a split that got none takes
    one patient of the largest split.

  Raises:
    DataError: fewer patients than splits.
  """
  if len(strata) < len(fractions):
    raise DataError(
      f"Expected at least one patient a split. Received: "
      f"{counted(len(strata), 'patient')} for "
      f"{counted(len(fractions), 'split')} ({', '.join(fractions)})."
    )
  members = collections.defaultdict(list)
  for patient in sorted(strata, key=lambda p: drawn_place(seed, p)):
    members[strata[patient]].append(patient)
  counts = _apportion({s: len(m) for s, m in members.items()}, fractions)
  split_of = {}
  for stratum, patients in members.items():
    names = [n for n in fractions for _ in range(counts[stratum][n])]
    split_of.update(zip(patients, names))
  _fill_empty_splits(split_of, fractions, seed)
  return split_of


def _apportion(
  sizes: Mapping[str, int], fractions: Mapping[str, float]
) -> dict[str, dict[str, int]]:
  """Rounds sizes x fractions to integers whose row and column sums hold.

  Each stratum is first given the whole part of its shares. What is left, less
  than one a split, goes to the splits that are owed most over all: taken from
  the stratum that has most left, this greedy rule always comes out exact
  (Gale-Ryser).
  """
  totals = _largest_remainder(sum(sizes.values()), fractions)
  shares = {
    s: {name: n * f for name, f in fractions.items()} for s, n in sizes.items()
  }
  counts = {
    s: {name: _floor(share) for name, share in row.items()}
    for s, row in shares.items()
  }
  owed = {
    name: totals[name] - sum(row[name] for row in counts.values())
    for name in fractions
  }
  left = {s: n - sum(counts[s].values()) for s, n in sizes.items()}
  for stratum in sorted(sizes, key=lambda s: (-left[s], s)):
    row = counts[stratum]
    remainders = {n: shares[stratum][n] - row[n] for n in fractions}
    ranking = sorted(fractions, key=lambda n: (-owed[n], -remainders[n], n))
    for name in ranking[: left[stratum]]:
      row[name] += 1
      owed[name] -= 1
  return counts


def _largest_remainder(
  total: int, fractions: Mapping[str, float]
) -> dict[str, int]:
  counts = {name: _floor(total * f) for name, f in fractions.items()}
  ranking = sorted(
    fractions, key=lambda n: (counts[n] - total * fractions[n], n)
  )
  for name in ranking[: total - sum(counts.values())]:
    counts[name] += 1
  return counts


def _floor(share: float) -> int:
  # 0.1 * 30 is 3.0000000000000004, and 0.7 * 10 may be just under 7.
  return math.floor(share + 1e-9)


def _fill_empty_splits(
  split_of: dict[str, str], names: Iterable[str], seed: int
) -> None:
  for name in names:
    counts = collections.Counter(split_of.values())
    if not counts[name]:
      largest = max(counts, key=lambda n: (counts[n], n))
      mover = min(
        (p for p, split in split_of.items() if split == largest),
        key=lambda p: drawn_place(seed, p),
      )
      split_of[mover] = name
