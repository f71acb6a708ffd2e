"""Training loop: log, check, save, stop when asked."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time

import tensorflow as tf

from tf_micle.system import log_noise
from tf_micle.training import progress


class NonFiniteError(RuntimeError):
  """The loss or a weight became NaN or infinite."""


@dataclasses.dataclass(frozen=True)
class Schedule:
  """When a run does what, in steps.

  Attributes:
    first_step: steps done before this session.
    last_step: steps done when the run is complete.
    log_every: between lines of the log.
    save_every: between checkpoints.
    images_per_step: views in a global batch, for the rate.
  """

  first_step: int
  last_step: int
  log_every: int
  save_every: int
  images_per_step: int


@dataclasses.dataclass(frozen=True)
class Trained:
  """How far training came.

  Attributes:
    step: the number of steps done.
    broken_off: whether a signal broke off the validation of the last of them.
  """

  step: int
  broken_off: bool = False


def train(
  model,
  batches,
  schedule,
  *,
  checkpoints,
  log,
  validate,
  stop,
  clock,
  at_start=None,
  selection=None,
):
  """Trains from `schedule.first_step` to `last_step`, or until asked to stop.

  Args:
    model: a compiled Keras model whose `train_step` returns running means.
    batches: endless data set that starts at `first_step`, distributed.
    schedule: a `Schedule`.
    checkpoints: `checkpoint.RunCheckpoints`.
    log: `run_log.RunLog`.
    validate: from Keras callbacks to a dict of floats to log; called at each
      checkpoint. None: there is nothing to validate on.
    stop: an object whose `requested` turns true when the run is to end early.
    clock: `clock.Clock`; the first step ends it.
    at_start: called once, after the first step, which it would only delay;
      returns a dict of floats to log of the step before. None: nothing is.
    selection: `selection.Selection`, which may end the run early too, or None.

  Returns:
    `Trained`.

  Raises:
    NonFiniteError: if the loss or a weight is not finite; what was saved
      before stays.
  """
  recorder = _Recorder(schedule, checkpoints, log, validate, stop, selection)

  def begin(batch, logs):
    del logs
    if batch == 0:
      clock.log("filling the shuffle buffer and tracing")
      recorder.begin(at_start)

  first = tf.keras.callbacks.LambdaCallback(on_train_batch_end=begin)
  bar = progress.ProgressBar(
    first_step=schedule.first_step,
    last_step=schedule.last_step,
    images_per_step=schedule.images_per_step,
  )
  remaining = schedule.last_step - schedule.first_step
  if log.unvalidated and not recorder.catch_up():
    return Trained(schedule.first_step, broken_off=True)
  if remaining <= 0:
    recorder.begin(at_start)
    checkpoints.save()
    return Trained(schedule.first_step)
  if selection and selection.exhausted:
    return Trained(schedule.first_step)
  try:
    with log_noise.without(log_noise.SLOW_CALLBACK):
      model.fit(
        batches,
        epochs=1,
        steps_per_epoch=remaining,
        verbose=0,
        callbacks=[first, recorder, bar],
      )
  finally:
    bar.close()
  if recorder.step < schedule.last_step and not model.stop_training:
    raise RuntimeError(
      f"Expected {schedule.last_step} steps. Received: the end of the data "
      f"after step {recorder.step}"
    )
  return Trained(recorder.step, recorder.broken_off)


class _Recorder(tf.keras.callbacks.Callback):
  """After each step: is it finite, is it time to log, to save, to stop?"""

  def __init__(self, schedule, checkpoints, log, validate, stop, selection):
    super().__init__()
    self._schedule = schedule
    self._checkpoints = checkpoints
    self._log = log
    self._validate = validate
    self._stop = stop
    self._selection = selection
    self.step = schedule.first_step
    self.broken_off = False
    self.on_train_begin()

  def on_train_begin(self, logs=None):
    self._logged_step, self._logged_time = self.step, time.monotonic()

  def on_train_batch_end(self, batch, logs=None):
    self.step += 1
    self._check_finite(math.isfinite(logs["loss"]), "the loss")
    # Asked once: a signal during what follows stops after the next step.
    stop = self._stop.requested
    due = (
      self.step == self._schedule.last_step
      or self.step % self._schedule.save_every == 0
    )
    if stop or due or self.step % self._schedule.log_every == 0:
      self._record(logs, save=stop or due, validate=due)
    if stop or (self._selection and self._selection.exhausted):
      self.model.stop_training = True

  def _record(self, logs, *, save, validate):
    values = {name: float(value) for name, value in logs.items()}
    seconds = time.monotonic() - self._logged_time
    steps = self.step - self._logged_step
    rate = steps * self._schedule.images_per_step / max(seconds, 1e-9)
    values["images_per_second"] = round(rate, 1)
    if save:
      weights = self.model.variables
      finite = all(bool(tf.reduce_all(tf.math.is_finite(w))) for w in weights)
      self._check_finite(finite, "a weight")
    # Not where a signal stops the run: what is picked must not depend on it.
    scores = self._scores() if validate else {}
    unvalidated = scores is None
    self._log.write(
      self.step, {**values, **(scores or {})}, unvalidated=unvalidated
    )
    if scores and self._selection:
      self._selection.consider(scores)
    if save:
      self._checkpoints.save()
    self.broken_off = unvalidated
    self.model.stop_training |= unvalidated
    self.model.reset_metrics()
    self._logged_step, self._logged_time = self.step, time.monotonic()

  def begin(self, at_start):
    """Logs what `at_start` says; its time is not the steps'."""
    before = time.monotonic()
    scores = at_start() if at_start else {}
    if scores:
      self._log.write(self.step, scores)
    self._logged_time += time.monotonic() - before

  def catch_up(self):
    """Validates where a signal came before; returns whether it was done."""
    scores = self._scores()
    if scores is None:
      return False
    # Last, as it says that all is done.
    if self._selection:
      self._selection.consider(scores)
    self._log.complete(self.step, scores)
    return True

  def _scores(self):
    """Returns what the validation says, or None if a signal broke it off."""
    try:
      return self._validate([BreakOff(self._stop)]) if self._validate else {}
    except BrokenOff:
      return None

  def _check_finite(self, finite, what):
    if finite:
      return
    saved = self._checkpoints.latest
    where = "Nothing was saved yet: give the command again with"
    if saved:
      where = (
        f"The last good checkpoint stays: {saved}. Start from it by "
        f"--checkpoint={shlex.quote(saved)} in a new --model_dir, with"
      )
    raise NonFiniteError(
      f"Expected finite numbers. Received: {what} is NaN or infinite at step "
      f"{self.step}. {where} a lower --learning_rate or a longer warm-up "
      "(--warmup_epochs)."
    )


class BrokenOff(Exception):
  """A signal came while the model was validated."""


class BreakOff(tf.keras.callbacks.Callback):
  """Ends a validation, which may take minutes, as soon as a signal comes."""

  def __init__(self, stop):
    """Takes an object whose `requested` turns true."""
    super().__init__()
    self._stop = stop

  def on_test_batch_end(self, batch, logs=None):
    """Raises `BrokenOff` if a signal came."""
    self._check()

  def on_predict_batch_end(self, batch, logs=None):
    """Raises `BrokenOff` if a signal came."""
    self._check()

  def _check(self):
    if self._stop.requested:
      raise BrokenOff
