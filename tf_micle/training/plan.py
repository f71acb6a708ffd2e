"""What is asked of a training session, what it trains, and how it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tf_micle.runs import trained_on
from tf_micle.system.clock import Clock


@dataclasses.dataclass(frozen=True)
class RunOptions:
  """Where a run writes, and how often; fields are named as their flags are."""

  model_dir: str
  checkpoint: str | None
  checkpoint_parts: str
  log_steps: int
  checkpoint_steps: int
  checkpoint_epochs: int
  keep_checkpoint_max: int
  jit: str


@dataclasses.dataclass(frozen=True)
class Session:
  """A run as it was asked for.

  Attributes:
    options: `RunOptions`.
    strategy: `tf.distribute.Strategy`.
    flags: dict of every flag's value, for the record.
    not_default: names of flags whose value is not the default, for the record.
    may_change: names of flags that may differ when the run is resumed.
    clock: `clock.Clock`, started with the command.
  """

  options: RunOptions
  strategy: tf.distribute.Strategy
  flags: Mapping[str, Any]
  not_default: list[str]
  may_change: frozenset[str]
  clock: Clock


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a mode wants trained; its data are read and checked.

  Attributes:
    source: the training data, a `BagSource`.
    patients: `trained_on.PatientSet`s that this run sees.
    steps_per_epoch: what `warmup_epochs` and `checkpoint_epochs` count in.
    train_steps: where the run ends.
    build: makes, in the strategy's scope, a compiled Keras model whose
      `train_step` returns running means and that has a method `see`; and a dict
      of its parts with state, by name ('optimizer' is the one that counts).
    starts: the parts that may start from other weights, and whether each may
      keep its initial values where these have nothing of it.
    batches: has `batches(first_step, context)` and `sample(count)`.
    images_per_step: views in a global batch, for the rate.
    picture: name of the picture of a few views.
    validate: from the model, the strategy and Keras callbacks to a dict of
      scores; None without validation.
    select_by: the score that picks the best checkpoint, or 'none'.
    early_stopping: validations without a better one to stop after; 0: never.
    picked_on: the data that pick the checkpoint, or None.
    health: `health.checks.HealthChecks`, at step 0 and at checkpoints; or None.
    facts: what else to put down in `provenance.json`.
    conclusion: what to draw from the best checkpoint at the end: has
      `is_due(folder)` and `draw(folder, model, strategy, callbacks)`; or None.
  """

  source: Any
  patients: list[trained_on.PatientSet]
  steps_per_epoch: float
  train_steps: int
  build: Callable[[], tuple[tf.keras.Model, dict[str, Any]]]
  starts: Mapping[str, bool]
  batches: Any
  images_per_step: int
  picture: str
  validate: Callable[..., dict[str, float]] | None = None
  select_by: str = "none"
  early_stopping: int = 0
  picked_on: Any = None
  health: Any = None
  facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  conclusion: Any = None


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How a session ended: after which step, and whether a signal stopped it."""

  step: int
  stopped: bool


def save_every(options, steps_per_epoch):
  """Returns the steps between checkpoints.

  Args:
    options: has `checkpoint_steps` and `checkpoint_epochs`.
    steps_per_epoch: as in `Plan`.
  """
  epoch = max(round(options.checkpoint_epochs * steps_per_epoch), 1)
  return options.checkpoint_steps or epoch
