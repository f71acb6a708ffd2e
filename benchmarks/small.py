"""Sizes of a benchmark: full, or small ones for `regressions`."""

from __future__ import annotations

import os

VARIABLE = "TF_MICLE_SMALL_BENCHMARKS"


def sized(full, small):
  """Returns `full`, or `small` where the environment asks for it."""
  return small if os.environ.get(VARIABLE) else full
