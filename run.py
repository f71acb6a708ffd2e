r"""tf_micle: pretrains an image encoder on bags of a patient's images (MICLe).

  python run.py --mode=pretrain --use_micle
      the built-in demo: synthetic data, minutes on two cores
  python run.py --mode=pretrain --use_micle --data_dir=RECORDS --model_dir=RUN
      your data: RECORDS is what `python -m data.build_tfrecords` wrote
  python run.py --flagfile=flags/recipes/derm_micle.flags --data_dir=RECORDS \
      --model_dir=RUN --checkpoint=SIMCLR_RUN
      the paper's settings, from SimCLR's weights; see flags/recipes/

The same command again goes on from the newest checkpoint. Exit status: 0 done,
2 bad use or bad input, 1 a failure, 143 stopped by a signal after saving.
"""
# Flags -> options -> strategy -> mode. Modules that import TensorFlow are
# imported after the flags are read, so that --help and mistakes are answered at
# once.

from __future__ import annotations

import dataclasses
import os
import sys

from absl import app, flags, logging

from flags import reader

DONE, FAILED, BAD_USE, STOPPED = 0, 1, 2, 143
_DEMO_DATA = os.path.join("runs", "demo-data")
# What may differ when a run goes on: how long, how often, on what, and where
# the same data lie.
_MAY_CHANGE = frozenset(
  "train_steps train_epochs log_steps checkpoint_steps checkpoint_epochs "
  "keep_checkpoint_max eval_batch_size eval_split cache_dataset strategy "
  "tpu_name data_dir model_dir checkpoint demo".split()
)

for concern in reader.MODULES:
  flags.adopt_module_key_flags(concern)


def main(argv):
  """Runs the mode that the flags name; returns the exit status."""
  del argv
  logging.set_verbosity(logging.INFO)
  options, findings = reader.options()
  try:
    return {"pretrain": pretrain}[options.mode](options, findings)
  except reader.UsageError as error:
    return _report(error.findings)


def pretrain(options, findings):
  """Pretrains an encoder; returns the exit status."""
  from tf_micle import checkpoint, pair_picture, pretraining, run_log, trainer

  # First: several workers must find each other before any other operation.
  strategy = _strategy(options, findings)
  source, validation = _sources(options, findings)
  steps_per_epoch = _steps_per_epoch(options, source, findings)
  _check_goes_on(options, source, findings)
  if findings:
    raise reader.UsageError(findings)
  train_steps = options.train_steps
  if train_steps is None:
    train_steps = options.train_epochs * steps_per_epoch

  with strategy.scope():
    model, parts = pretraining.build(
      _pick(pretraining.PretrainOptions, options),
      steps_per_epoch=steps_per_epoch,
      train_steps=train_steps,
      probe_outputs=len(validation.class_names) if validation else 0,
    )
    checkpoints = checkpoint.RunCheckpoints(
      options.model_dir, parts, keep=options.keep_checkpoint_max
    )
    first_step = _start(options, checkpoints, parts, train_steps)
  _record_origin(options, source, strategy)
  log = run_log.RunLog(options.model_dir, first_step=first_step)
  batches = _pair_batches(options, source, first_step)
  if first_step == 0:
    views = next(iter(batches))["views"][: pair_picture.MOST]
    path = pair_picture.write(model.see(views, step=0), options.model_dir, log)
    logging.info("The first positive pairs, as the network sees them: %s", path)
  schedule = trainer.Schedule(
    first_step=first_step,
    last_step=train_steps,
    log_every=options.log_steps,
    save_every=options.checkpoint_steps
    or options.checkpoint_epochs * steps_per_epoch,
    images_per_step=2 * options.train_batch_size,
  )
  scorer = _probe_scorer(options, model, validation)
  return _train(options, model, batches, schedule, checkpoints, log, scorer)


def _train(options, model, batches, schedule, checkpoints, log, scorer):
  """Trains; says how it ended and returns the exit status."""
  from tf_micle import stop_signal, trainer

  with stop_signal.StopSignal() as stop:
    try:
      done = trainer.train(
        model,
        batches,
        schedule,
        checkpoints=checkpoints,
        log=log,
        validate=scorer,
        stop=stop,
      )
    except trainer.NonFiniteError as error:
      logging.error("%s", error)
      return FAILED
  if done < schedule.last_step:
    logging.info(
      "Stopped after step %d of %d, saved. The same command goes on there.",
      done,
      schedule.last_step,
    )
    return STOPPED
  _say_what_is_next(options, done)
  return DONE


def _sources(options, findings):
  """Opens the training and validation splits; None where there is none."""
  if options.demo and findings:
    return None, None
  data_dir = _demo_data() if options.demo else options.data_dir

  def open_split(split):
    if not options.dataset:
      from data import bag_source

      return bag_source.bag_tfrecords(data_dir, split)
    from data import tfds_source

    return tfds_source.tfds_bags(
      options.dataset,
      split,
      data_dir=data_dir,
      patient_feature=options.patient_feature,
    )

  source = _collect(findings, open_split, options.train_split)
  probing = options.lineareval_while_pretraining
  if source is None or not probing or source.task == "unlabelled":
    return source, None
  validation = _collect(findings, open_split, options.eval_split)
  if validation is None:
    findings[-1] += (
      " The linear probe is scored on it: name another --eval_split, or leave "
      "the probe out by --nolineareval_while_pretraining."
    )
  return source, validation


def _demo_data():
  from data import demo

  logging.info(
    "Neither --data_dir nor --dataset is set: this is the built-in demo, in "
    "%s. Flags that are not set come from flags/recipes/demo.flags.",
    _DEMO_DATA,
  )
  return demo.demo_records(_DEMO_DATA)


def _check_goes_on(options, source, findings):
  """A run that has a checkpoint goes on with its own flags and data."""
  from tf_micle import provenance

  if source is None or not options.model_dir:
    return
  changed = provenance.changes(
    options.model_dir,
    flags=options._asdict(),
    may_change=_MAY_CHANGE,
    data_digest=source.digest,
  )
  if changed:
    findings.append(
      f"Expected the flags and data of the run in {options.model_dir}, or "
      f"another --model_dir. Received: {'; '.join(changed)}"
    )


def _strategy(options, findings):
  from tf_micle import distribution

  strategy = _collect(
    findings, distribution.choose, options.strategy, tpu_name=options.tpu_name
  )
  if strategy is None:
    return None
  logging.info("Devices: %s", distribution.describe(strategy))
  replicas = strategy.num_replicas_in_sync
  if options.train_batch_size % replicas:
    findings.append(
      f"Expected --train_batch_size to be a multiple of the {replicas} devices."
      f" Received: --train_batch_size={options.train_batch_size}"
    )
  return strategy


def _steps_per_epoch(options, source, findings):
  from data import pipeline

  return source and _collect(
    findings,
    pipeline.steps_per_epoch,
    source,
    use_micle=options.use_micle,
    batch_size=options.train_batch_size,
  )


def _start(options, checkpoints, parts, train_steps):
  """Restores this run or starts from --checkpoint; returns the steps done."""
  from tf_micle import checkpoint

  models = {name: parts[name] for name in ("encoder", "projection_head")}
  try:
    first_step, whence = checkpoints.start(options.checkpoint, models)
  except checkpoint.CheckpointError as error:
    raise reader.UsageError([str(error)]) from error
  logging.info("Step %d: %s", first_step, whence)
  if first_step > train_steps:
    raise reader.UsageError(
      [
        f"Expected the run to end at step {first_step} or later, which it has "
        f"done already. Received: {train_steps} steps. Ask for more steps, or "
        "give another --model_dir."
      ]
    )
  return first_step


def _record_origin(options, source, strategy):
  from tf_micle import distribution, provenance

  facts = {
    "data": source.name,
    "data_digest": source.digest,
    "devices": distribution.describe(strategy),
  }
  provenance.write(options.model_dir, flags=options._asdict(), facts=facts)


def _pair_batches(options, source, first_step):
  from data import pipeline

  return pipeline.pair_batches(
    source,
    batch_size=options.train_batch_size,
    views=_view_options(options),
    use_micle=options.use_micle,
    seed=options.seed,
    first_step=first_step,
    cache=options.cache_dataset,
  )


def _view_options(options):
  from data import geometry

  return _pick(geometry.ViewOptions, options)


def _probe_scorer(options, model, validation):
  """Returns what scores the online linear probe; no scores without labels."""
  if validation is None:
    return dict
  from data import pipeline

  batches = pipeline.image_batches(
    validation,
    batch_size=options.eval_batch_size,
    views=_view_options(options),
  )
  return lambda: model.evaluate(batches, verbose=0, return_dict=True)


def _say_what_is_next(options, done):
  from tf_micle import run_log

  rows = run_log.read(options.model_dir)
  last = ", ".join(
    f"{name} {value:.4g}" for name, value in (rows[-1] if rows else {}).items()
  )
  print(f"Done: {done} steps in {options.model_dir}. {last}")
  print("Curves and pairs: tensorboard --logdir=" + options.model_dir)
  if options.demo:
    other = "" if options.use_micle else " --use_micle"
    print(f"To compare: python run.py --mode=pretrain{other}")
    print(
      "Your own images: python -m data.build_tfrecords --manifest=M.csv "
      "--image_root=DIR --output_dir=RECORDS"
    )
  elif not options.use_micle:
    print(
      "MICLe from these weights: the same flags with --use_micle "
      f"--checkpoint={options.model_dir} and another --model_dir"
    )


def _pick(options_class, options):
  """Makes a part's options object from the flags of the same names."""
  names = [field.name for field in dataclasses.fields(options_class)]
  return options_class(**{name: getattr(options, name) for name in names})


def _collect(findings, function, *args, **kwargs):
  """Calls `function`; what it finds wrong joins `findings`."""
  try:
    return function(*args, **kwargs)
  except ValueError as error:
    findings.append(str(error))
    return None


def _report(findings):
  print(f"{len(findings)} to mend, nothing was started:", file=sys.stderr)
  for finding in findings:
    print(f"- {finding}", file=sys.stderr)
  return BAD_USE


def parse(argv):
  try:
    return reader.parse(argv)
  except reader.UsageError as error:
    sys.exit(_report(error.findings))
  except SystemExit:
    # absl has printed the help that was asked for, and takes it for a failure.
    sys.exit(DONE)


if __name__ == "__main__":
  # TensorFlow 2.15 logs three errors of its own build at every start; what it
  # raises is not affected, and the devices that it found are logged below.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  app.run(main, flags_parser=parse)
