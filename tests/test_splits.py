"""Splits by patient: their fractions, strata and what is refused."""

from __future__ import annotations

import collections
import math
import random

import pytest

from data.manifest import splits
from data.problems import DataError

FRACTIONS = {"train": 0.7, "validation": 0.1, "test": 0.2}


def strata(sizes):
  return {f"{s}{i}": s for s, n in sizes.items() for i in range(n)}


@pytest.mark.parametrize(
  "sizes",
  [
    {"a": 100},
    {"a": 70, "b": 20, "c": 10},
    {f"rare{i:02}": 1 for i in range(40)},
    {"a": 33, "b": 7, "c": 5, "d": 3, "e": 2, "": 11},
  ],
)
@pytest.mark.parametrize("seed", range(3))
def test_fractions_hold_in_each_stratum_and_over_all(sizes, seed):
  patients = strata(sizes)
  drawn = splits.draw_splits(patients, FRACTIONS, seed)
  assert drawn.keys() == patients.keys()
  for stratum in [None, *sizes]:
    members = [p for p in patients if stratum in (None, patients[p])]
    counts = collections.Counter(drawn[p] for p in members)
    for name, fraction in FRACTIONS.items():
      assert abs(counts[name] - fraction * len(members)) < 1


def test_draw_depends_on_seed_and_not_on_order():
  patients = list(strata({"a": 50, "b": 50}).items())
  first = splits.draw_splits(dict(patients), FRACTIONS, 0)
  random.Random(0).shuffle(patients)
  assert splits.draw_splits(dict(patients), FRACTIONS, 0) == first
  assert splits.draw_splits(dict(patients), FRACTIONS, 1) != first


def test_no_split_is_empty():
  drawn = splits.draw_splits(strata({"a": 3}), splits.DEFAULT_FRACTIONS, 0)
  assert set(drawn.values()) == set(splits.DEFAULT_FRACTIONS)
  with pytest.raises(DataError, match="2 patients for 3 splits"):
    splits.draw_splits(strata({"a": 2}), splits.DEFAULT_FRACTIONS, 0)


def test_multi_class_stratum_is_the_most_frequent_label():
  labels = {"p": ["b", "a", "b", None], "q": ["b", "a"], "r": [None]}
  expected = {"p": "b", "q": "a", "r": ""}
  assert splits.multi_class_strata(labels) == expected


def test_multi_label_stratum_is_the_rarest_positive():
  nan = math.nan
  labels = {
    "p": [(1, 0), (0, 1)],
    "q": [(1, -1)],
    "r": [(0, nan)],
    "s": [(nan, nan)],
  }
  expected = {"p": "1", "q": "0", "r": "none", "s": ""}
  assert splits.multi_label_strata(labels) == expected


def test_parse_fractions():
  parsed = splits.parse_fractions(["train=0.9", " test = .1"])
  assert parsed == {"train": 0.9, "test": 0.1}


@pytest.mark.parametrize(
  ("items", "message"),
  [
    (["train"], "Received: 'train'"),
    (["train=0", "test=1"], "Received: 'train=0'"),
    (["train=nan"], "Received: 'train=nan'"),
    (["tr-ain=1"], "Received: 'tr-ain=1'"),
    (["all=1"], "Received: 'all=1'"),
    (["train=0.5", "train=0.5"], "'train' twice"),
    (["train=0.8", "test=0.1"], "sum to 1. Received: 0.9"),
  ],
)
def test_bad_fractions(items, message):
  with pytest.raises(DataError, match=message):
    splits.parse_fractions(items)
