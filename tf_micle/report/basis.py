"""Basis: what the sections of a report take their numbers from."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from tf_micle.evaluation.failures import Failures
from tf_micle.evaluation.predictions import Predictions, at_level
from tf_micle.evaluation.subgroups import FEWEST
from tf_micle.report import tables


@dataclasses.dataclass(frozen=True)
class Basis:
  """An evaluation, and the words for it.

  Attributes:
    result: what `evaluate.evaluate` gave for `predictions`.
    predictions: of one model on one split.
    failures: the most wrong items, with pictures.
    facts: where the result comes from, by name.
  """

  result: dict
  predictions: Predictions
  failures: Failures = Failures()
  facts: dict = dataclasses.field(default_factory=dict)

  @property
  def findings(self) -> bool:
    """Whether classes are findings, each there or not."""
    return self.result["task"] == "multi_label"

  @property
  def kind(self) -> str:
    """What a class is called."""
    return "finding" if self.findings else "class"

  @property
  def kinds(self) -> str:
    """What classes are called."""
    return "findings" if self.findings else "classes"

  @property
  def unit(self) -> str:
    """What an item is."""
    return self.result["unit"]

  @property
  def names(self) -> list[str]:
    """The C class names."""
    return self.result["class_names"]

  @functools.cached_property
  def at(self) -> dict[str, Predictions]:
    """The predictions at each level, the items' first."""
    levels = dict.fromkeys((self.unit, "patient"))
    return {level: at_level(level, self.predictions) for level in levels}

  @functools.cached_property
  def enough(self) -> dict[str, bool]:
    """Whether a class has enough patients, with it and without, to judge."""
    of = self.at["patient"]
    has, known = of.positive.sum(axis=0), of.stated.sum(axis=0)
    fewer = np.minimum(has, known - has)
    return dict(zip(self.names, (fewer >= FEWEST).tolist()))

  @property
  def specificity(self) -> str:
    """That at which sensitivity is read, as text."""
    return tables.percent(self.result["specificity"])

  @property
  def interval(self) -> str:
    """The coverage of intervals, as text."""
    return tables.percent(self.result["bootstrap"]["level"])

  def column(self, text: str) -> str:
    """The name of a column of values with intervals."""
    return f"{text}, {self.interval} interval"
