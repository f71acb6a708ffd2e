"""A training run in its folder: restored, trained, logged, saved."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_micle.runs import checkpoint, provenance, run_log, selection, trained_on
from tf_micle.system import folder_lock, stop_signal, workers
from tf_micle.system.clock import Clock
from tf_micle.training import loop as training_loop
from tf_micle.views import view_picture


@dataclasses.dataclass(frozen=True)
class RunOptions:
  """Where a run writes, and how often; fields are named as their flags are."""

  model_dir: str
  checkpoint: str | None
  log_steps: int
  checkpoint_steps: int
  checkpoint_epochs: int
  keep_checkpoint_max: int


@dataclasses.dataclass(frozen=True)
class Session:
  """A run as it was asked for.

  Attributes:
    options: `RunOptions`.
    strategy: `tf.distribute.Strategy`.
    flags: dict of every flag's value, for the record.
    may_change: names of flags that may differ when the run goes on.
    clock: `clock.Clock`, started with the command.
  """

  options: RunOptions
  strategy: tf.distribute.Strategy
  flags: Mapping[str, Any]
  may_change: frozenset[str]
  clock: Clock

  def check(self, source, problems, *, picked_on=None):
    """Adds to `problems` if the run has a checkpoint with other flags or data.

    Args:
      source: the training data, a `BagSource`, or None where it is not known.
      problems: has a method `add`.
      picked_on: the data that pick the checkpoint, or None.
    """
    if source is None or not self.options.model_dir:
      return
    changed = provenance.changes(
      self.options.model_dir,
      flags=self.flags,
      may_change=self.may_change,
      facts=provenance.digests(source, picked_on),
    )
    if changed:
      problems.add(
        f"Expected the flags and data of the run in {self.options.model_dir}, "
        f"or another --model_dir. Received: {'; '.join(changed)}"
      )

  @contextlib.contextmanager
  def locked(self, problems):
    """Holds the run's folder; ends the run if another process is in it."""
    with contextlib.ExitStack() as stack:
      problems.collect(
        stack.enter_context, folder_lock.held(self.options.model_dir)
      )
      problems.stop_if_any()
      yield

  def seen_before(self):
    """Returns the `trained_on.PatientSet`s that the weights come from.

    Those of this run where it goes on, whatever is asked to start from now;
    else those of the run to start from.

    Raises:
      ValueError: as `trained_on.read`.
    """
    options = self.options
    if options.model_dir and provenance.goes_on(options.model_dir):
      return trained_on.read(options.model_dir)
    return trained_on.read(options.checkpoint) if options.checkpoint else []


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How a session ended: after which step, and whether a signal stopped it."""

  step: int
  stopped: bool


class TrainingRun:
  """What pretraining and fine-tuning have in common around their steps."""

  def __init__(self, session, parts):
    """Opens a run's folder; writes nothing yet.

    Args:
      session: `Session`.
      parts: all that the next step depends on; see `RunCheckpoints`.
    """
    self._session = session
    self._options = session.options
    self._parts = parts
    self._checkpoints = checkpoint.RunCheckpoints(
      self._options.model_dir, parts, keep=self._options.keep_checkpoint_max
    )
    self.first_step = 0

  def start(self, models, *, source, train_steps):
    """Restores this run, or starts `models` from `options.checkpoint`.

    Args:
      models: dict of the parts that another run's weights go to, by name, to
        the least share of their variables that must match.
      source: the training data, a `BagSource`.
      train_steps: where the run ends.

    Raises:
      checkpoint.CheckpointError: where a checkpoint is not there or does not
        fit, or the run has gone further already.
    """
    self.first_step, whence = self._checkpoints.start(
      self._options.checkpoint,
      {name: (self._parts[name], least) for name, least in models.items()},
    )
    logging.info("Step %d: %s", self.first_step, whence)
    if self.first_step > train_steps:
      raise checkpoint.CheckpointError(
        f"Expected the run to end at step {self.first_step} or later, which it "
        f"has done already. Received: {train_steps} steps. Ask for more steps, "
        "or give another --model_dir."
      )
    flags, free = self._session.flags, self._session.may_change
    settled = sorted((k, v) for k, v in flags.items() if k not in free)
    what = (self.first_step, train_steps, source.digest, settled)
    if not workers.same_for_all(self._session.strategy, repr(what)):
      raise checkpoint.CheckpointError(
        "Expected the same flags, data and checkpoint on every worker. "
        f"Received others than these on another one: step {self.first_step} of "
        f"{train_steps}, {source.name}. All must see one --model_dir, and be "
        "given the same command when those before have ended."
      )

  def open_log(self, source, patients, *, picked_on=None, **facts):
    """Writes where the run comes from; returns its `run_log.RunLog`.

    Args:
      source: the training data, a `BagSource`.
      patients: `trained_on.PatientSet`s of this run and of those before it.
      picked_on: the data that pick the checkpoint, or None.
      **facts: what else to put down in `provenance.json`.
    """
    folder = self._options.model_dir
    self._warn_of_blur(provenance.read(folder))
    facts["blur_edges"] = "reflected"
    facts.update(provenance.facts(source, self._session.strategy))
    facts.update(provenance.digests(source, picked_on))
    provenance.write(folder, flags=self._session.flags, facts=facts)
    trained_on.write(folder, patients)
    return run_log.RunLog(folder, first_step=self.first_step)

  def _warn_of_blur(self, before):
    """Says so where a run was begun with another blur than it resumes with."""
    blurs = self._session.flags["use_blur"]
    if self.first_step and blurs and "blur_edges" not in before:
      logging.warning(
        "This run was begun by a version whose blur darkened the edges of "
        "images (zeros beyond them). From step %d on they are reflected.",
        self.first_step,
      )

  def draw_views(self, model, draw, log, name):
    """Draws a few views of a new run, as the network sees them.

    Args:
      model: has a method `see`.
      draw: from a number to so many items or fewer, uint8 (n, v, h, w, 3).
      log: what `open_log` returned.
      name: of the picture.
    """
    if self.first_step:
      return
    views = draw(view_picture.MOST)
    path = view_picture.write(
      model.see(views, step=0), self._options.model_dir, log, name=name
    )
    logging.info("Views as the network sees them: %s", path)

  def select(self, select_by, patience):
    """Returns this run's `selection.Selection`."""
    rows = run_log.read(self._options.model_dir)
    return selection.Selection(
      self._options.model_dir,
      self._parts,
      select_by=select_by,
      patience=patience,
      rows=[row for row in rows if row["step"] <= self.first_step],
    )

  def train(
    self,
    model,
    batches,
    log,
    *,
    train_steps,
    steps_per_epoch,
    images_per_step,
    validate,
    selection=None,
  ):
    """Trains to the end, or until a signal asks to stop.

    Args:
      model: compiled, as in `loop.train`.
      batches: endless data set that begins at `first_step`.
      log: what `open_log` returned.
      train_steps: where the run ends.
      steps_per_epoch: what `checkpoint_epochs` counts in.
      images_per_step: for the rate.
      validate: as in `loop.train`.
      selection: what `select` returned, or None.

    Returns:
      An `Outcome`.

    Raises:
      training_loop.NonFiniteError: as `loop.train`.
    """
    options = self._options
    self._session.clock.done("building the network")
    schedule = training_loop.Schedule(
      first_step=self.first_step,
      last_step=train_steps,
      log_every=options.log_steps,
      save_every=options.checkpoint_steps
      or max(round(options.checkpoint_epochs * steps_per_epoch), 1),
      images_per_step=images_per_step,
    )
    with stop_signal.StopSignal() as signal:
      stop = workers.agreed(signal, self._session.strategy)
      done = training_loop.train(
        model,
        batches,
        schedule,
        checkpoints=self._checkpoints,
        log=log,
        validate=validate,
        selection=selection,
        stop=stop,
        clock=self._session.clock,
      )
      stopped = done.step < train_steps or done.broken_off
      return Outcome(done.step, stop.requested and stopped)
