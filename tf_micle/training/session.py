"""Training session of a run: locked, checked, restored, trained, saved."""

from __future__ import annotations

import contextlib

import tensorflow as tf
from absl import logging

from tf_micle.runs import (
  checkpoint,
  initial_weights,
  provenance,
  run_log,
  trained_on,
)
from tf_micle.runs import folder as run_folder
from tf_micle.runs.selection import Selection
from tf_micle.system import folder_lock, stop_signal, workers
from tf_micle.training import loop
from tf_micle.training.plan import Outcome, save_every
from tf_micle.views import view_picture


# Nothing that a command traces needs AutoGraph, which takes time to convert.
@tf.autograph.experimental.do_not_convert
def train(session, make_plan, problems):
  """Trains a run to its end, or until a signal asks to stop.

  The folder is this process's alone from before the first check on.

  Args:
    session: `plan.Session`.
    make_plan: from the `trained_on.PatientSet`s that the weights come from to a
      `plan.Plan`; ends the command where there are problems.
    problems: `flags.problems.Problems`; those that are known already.

  Returns:
    A `plan.Outcome`.

  Raises:
    loop.NonFiniteError: as `loop.train`.
  """
  options = session.options
  with contextlib.ExitStack() as stack:
    if options.model_dir:
      lock = folder_lock.held(options.model_dir)
      problems.collect(stack.enter_context, lock)
      problems.collect(_check_flags, session)
    seen = problems.collect(_seen_before, options)
    plan = make_plan(seen)
    problems.collect(_check_data, session, plan)
    problems.stop_if_any()
    session.clock.done("reading and checking what was asked for")
    with session.strategy.scope():
      model, parts = plan.build()
      model.jit_compile = options.jit == "on"
      checkpoints = checkpoint.RunCheckpoints(
        options.model_dir, parts, keep=options.keep_checkpoint_max
      )
      begun = problems.collect(_start, session, plan, parts, checkpoints)
      problems.stop_if_any()
    log = _open_log(session, plan, seen, begun)
    return _train(session, plan, model, parts, checkpoints, log, begun.step)


def _check_flags(session):
  """Raises CheckpointError if the run was begun with other flags."""
  folder = session.options.model_dir
  changed = provenance.changed_flags(
    folder, flags=session.flags, may_change=session.may_change
  )
  _refuse(folder, changed)


def _check_data(session, plan):
  """Raises CheckpointError if the run was begun with other data."""
  folder = session.options.model_dir
  digests = provenance.digests(plan.source, plan.picked_on)
  _refuse(folder, provenance.changed_data(folder, digests))


def _refuse(folder, changed):
  if changed:
    raise checkpoint.CheckpointError(
      f"Expected the flags and data of the run in {folder}, or another "
      f"--model_dir. Received: {'; '.join(changed)}"
    )


def _seen_before(options):
  """Returns the `trained_on.PatientSet`s that the weights come from.

  Those of this run where it is resumed, whatever is asked to start from now;
  else those of the run to start from.
  """
  if run_folder.has_checkpoint(options.model_dir):
    return trained_on.read(options.model_dir)
  return trained_on.read(options.checkpoint) if options.checkpoint else []


def _start(session, plan, parts, checkpoints):
  """Restores the run, or starts it from `options.checkpoint`.

  Returns:
    An `initial_weights.Start`.

  Raises:
    InputError: where a checkpoint is not there or does not fit,
      the run has gone further already, or other workers were told otherwise.
  """
  options = session.options
  only_encoder = options.checkpoint_parts == "encoder"
  begun = initial_weights.start(
    checkpoints,
    options.model_dir,
    options.checkpoint,
    {
      name: (parts[name], may_lack)
      for name, may_lack in plan.starts.items()
      if name in parts and (name == "encoder" or not only_encoder)
    },
    image_size=session.flags["image_size"],
  )
  first_step = begun.step
  logging.info("Step %d: %s", first_step, begun.line)
  if first_step > plan.train_steps:
    raise checkpoint.CheckpointError(
      f"Expected the run to end at step {first_step} or later, which it has "
      f"done already. Received: {plan.train_steps} steps. Ask for more steps, "
      "or give another --model_dir."
    )
  flags, free = session.flags, session.may_change
  settled = sorted((k, v) for k, v in flags.items() if k not in free)
  what = (first_step, plan.train_steps, plan.source.digest, settled)
  if not workers.same_for_all(session.strategy, repr(what)):
    raise checkpoint.CheckpointError(
      "Expected the same flags, data and checkpoint on every worker. Received: "
      f"others than these on another one: step {first_step} of "
      f"{plan.train_steps}, {plan.source.name}. All must see one --model_dir, "
      "and be given the same command when those before have ended."
    )
  return begun


def _open_log(session, plan, seen, begun):
  """Writes where the run comes from; returns its `run_log.RunLog`."""
  folder = session.options.model_dir
  if begun.step:
    _warn_of_views(session.flags, provenance.read(folder), begun.step)
  facts = {
    **plan.facts,
    "blur_edges": "reflected",
    "warps": "in one sampling",
    **provenance.facts(plan.source, session.strategy),
    **provenance.digests(plan.source, plan.picked_on),
    "started_from": begun.started_from,
    "flags_not_default": session.not_default,
  }
  provenance.write(folder, flags=session.flags, facts=facts)
  trained_on.write(folder, [*seen, *plan.patients])
  return run_log.RunLog(folder, first_step=begun.step)


def _warn_of_views(flags, before, first_step):
  """Says so where a run was begun with other views than it resumes with."""
  if flags["use_blur"] and "blur_edges" not in before:
    logging.warning(
      "This run was begun by a version whose blur darkened the edges of images "
      "(zeros beyond them). From step %d on they are reflected.",
      first_step,
    )
  warps = bool(flags["rotation_degrees"]) + flags["elastic"]
  one_sampling = warps > (flags["resize_method"] != "bilinear")
  if one_sampling and "warps" not in before:
    logging.warning(
      "This run was begun by a version that interpolated its rotated or "
      "deformed views twice. From step %d on they are interpolated once, and "
      "are sharper.",
      first_step,
    )


def _draw_views(session, plan, model, log):
  """Draws a few views of a new run, as the network sees them."""
  views = plan.batches.sample(view_picture.MOST)
  path = view_picture.write(
    model.see(views, step=0), session.options.model_dir, log, name=plan.picture
  )
  logging.info("Views as the network sees them: %s", path)


def _train(session, plan, model, parts, checkpoints, log, first_step):
  """Runs the steps that are left; returns an `Outcome`."""
  options, strategy = session.options, session.strategy
  selection = None
  rows = [r for r in run_log.read(options.model_dir) if r["step"] <= first_step]
  if plan.validate and plan.select_by != "none":
    selection = Selection(
      options.model_dir,
      parts,
      select_by=plan.select_by,
      patience=plan.early_stopping,
      rows=rows,
    )
  if plan.health:
    plan.health.resume(rows)
  at_start = None
  if not first_step:
    at_start = _at_start(session, plan, model, log)
  schedule = loop.Schedule(
    first_step=first_step,
    last_step=plan.train_steps,
    log_every=options.log_steps,
    save_every=save_every(options, plan.steps_per_epoch),
    images_per_step=plan.images_per_step,
  )
  batches = strategy.distribute_datasets_from_function(
    lambda worker: plan.batches.batches(first_step, worker)
  )
  session.clock.done("building the network")
  with stop_signal.StopSignal() as signal:
    stop = workers.agreed(signal, strategy)
    done = loop.train(
      model,
      batches,
      schedule,
      checkpoints=checkpoints,
      log=log,
      validate=_validation(plan, model, strategy),
      at_start=at_start,
      selection=selection,
      stop=stop,
      clock=session.clock,
    )
    stopped = done.step < plan.train_steps or done.broken_off
    stopped = stop.requested and stopped
    if plan.conclusion and not stopped:
      stopped = _conclude(session, plan, model, selection, stop)
    return Outcome(done.step, stopped)


def _conclude(session, plan, model, selection, stop):
  """Draws the conclusion; returns whether a signal broke it off."""
  folder = session.options.model_dir
  if not plan.conclusion.is_due(folder):
    return False
  if selection:
    selection.restore()
  try:
    plan.conclusion.draw(folder, model, session.strategy, [loop.BreakOff(stop)])
  except loop.BrokenOff:
    return True
  return False


def _at_start(session, plan, model, log):
  """Returns what a new run calls after its first step, for that before it."""
  initial = [model.get_weights()] if plan.health else []

  def at_start():
    _draw_views(session, plan, model, log)
    if not initial:
      return {}
    trained = model.get_weights()
    model.set_weights(initial.pop())  # Kept no longer than it is needed.
    scores = plan.health.begin(model, session.strategy)
    model.set_weights(trained)
    return scores

  return at_start


def _validation(plan, model, strategy):
  """Returns what a run calls at its checkpoints; None: nothing.

  That is from Keras callbacks to a dict of scores.
  """

  def validate(callbacks):
    done = (model, strategy, callbacks)
    scores = plan.validate(*done) if plan.validate else {}
    step = int(tf.convert_to_tensor(model.optimizer.iterations))
    if plan.health and plan.health.due(step, plan.train_steps):
      scores = {**scores, **plan.health.check(step, *done)}
    return scores

  return validate if plan.validate or plan.health else None
