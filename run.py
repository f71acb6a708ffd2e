r"""tf_micle: pretrains an image encoder on bags of a patient's images (MICLe),
makes it a classifier with few labels, and says how good that is.

  python run.py --mode=pretrain --use_micle
      the built-in demo: synthetic data, minutes on two cores
  python run.py --mode=pretrain --use_micle --data_dir=RECORDS --model_dir=RUN
      your data: RECORDS is what `python -m data.build_tfrecords` wrote
  python run.py --mode=finetune --data_dir=RECORDS --checkpoint=RUN \
      --model_dir=TUNED --label_fraction=0.1
      a classifier from the pretrained encoder, with a tenth of the labels
  python run.py --mode=eval --data_dir=RECORDS --eval_split=test \
      --model_dir=TUNED
      metrics.json, predictions.csv and report.html in TUNED/eval/test
  python run.py --mode=export --model_dir=TUNED --export_dir=SERVING
      a SavedModel in SERVING/1 that TF Serving answers from
  python run.py --mode=predict --model_dir=TUNED --manifest=N.csv \
      --image_root=DIR --output=out.csv
      what the classifier says of images that need no labels and no records
  python run.py --mode=study --study=FILE --data_dir=RECORDS --model_dir=OUT
      which way to pretrain is best on your data; see docs/study.md
  python run.py --flagfile=flags/recipes/derm_micle.flags --data_dir=RECORDS \
      --model_dir=RUN --checkpoint=SIMCLR_RUN
      the paper's settings, from SimCLR's weights; see flags/recipes/

The same command again resumes from the newest checkpoint. Exit status: 0 done,
2 bad use or bad input, 1 a failure, 143 stopped by a signal after saving.
"""
# Flags -> options -> strategy -> mode. Modules that import TensorFlow are
# imported after the flags are read, so that --help and mistakes are answered at
# once.

from __future__ import annotations

import functools
import gc
import importlib
import os
import signal
import sys
import traceback

from absl import app, flags, logging

from data.images.worker_pool import WorkerDiedError
from data.problems import DataError, as_lines
from flags import modes, next_steps, parsing, reader, sweep
from flags import study as study_file
from flags.problems import Problems, UsageError
from tf_micle.runs import folder as run_folder
from tf_micle.system import system_faults, tf_config
from tf_micle.system.clock import Clock
from tf_micle.system.input_error import InputError
from tf_micle.system.plurals import counted

DONE, FAILED, BAD_USE, STOPPED = 0, 1, 2, 143
# What a user can mend; any other exception is a fault of the program.
_MISTAKES = (InputError, DataError)

for concern in reader.MODULES:
  flags.adopt_module_key_flags(concern)


def main(argv):
  """Runs the mode that the flags name; returns the exit status."""
  del argv
  logging.set_verbosity(logging.INFO)
  commands = {
    "pretrain": train,
    "finetune": train,
    "eval": evaluate,
    "export": export,
    "predict": predict,
    "study": study,
  }
  try:
    problems = Problems(_MISTAKES)
    options = reader.options(problems, run_folder)
    tf_config.check(options, problems)
    mode = finetune_sweep if options.sweep else commands[options.mode]
    mode = show_pairs if options.show_pairs else mode
    mode = atlas if options.mode == "predict" and options.atlas else mode
    return mode(options, problems)
  except UsageError as error:
    return _report(error.problems)
  except _MISTAKES as error:  # Met while at work; what was saved is kept.
    print(error, file=sys.stderr)
    return BAD_USE
  except KeyboardInterrupt:  # Training ends by itself; see `stop_signal`.
    logging.error("Stopped.")
    return STOPPED
  except WorkerDiedError as error:
    logging.error(
      "%s Give the same command again: what was saved before is kept.", error
    )
    return FAILED
  except Exception as error:
    reason = system_faults.reason(error)
    if reason:
      logging.error("%s", reason)
    else:
      traceback.print_exc()
      print(_FAULT, file=sys.stderr)
    return FAILED


_FAULT = (
  "This is a fault of the program, not of your command. Please report it with "
  "the lines above, the command, and flags.json and provenance.json of the "
  "run. What was saved before is kept."
)


def train(options, problems):
  """Pretrains an encoder or fine-tunes a classifier; returns the status."""
  clock = Clock()
  mode = importlib.import_module(f"tf_micle.modes.{options.mode}")
  from tf_micle.runs import run_log
  from tf_micle.system import devices, workers
  from tf_micle.training import loop, plan, session

  clock.done("importing TensorFlow")
  # First: several workers must find each other before any other operation.
  strategy = devices.choose(options, problems)
  options = devices.settle(options, strategy, problems)
  data = _data(options, problems)
  pick = functools.partial(reader.pick, options=options)

  def make_plan(seen):
    if options.demo:
      problems.stop_if_any()  # Its data are made where they are missing.
    return mode.plan(pick, data, seen, problems)

  try:
    with (
      workers.own_folder(options.model_dir, strategy) as folder,
      data.damage_explained(),
    ):
      outcome = session.train(
        plan.Session(
          reader.pick(plan.RunOptions, options._replace(model_dir=folder)),
          strategy,
          flags=options._asdict(),
          not_default=reader.not_default(options),
          may_change=modes.may_change(options.mode),
          clock=clock,
        ),
        make_plan,
        problems,
      )
      rows = run_log.read(folder)
  except loop.NonFiniteError as error:
    logging.error("%s", error)
    return FAILED
  if outcome.stopped:
    logging.info(
      "Stopped after step %d, saved. The same command resumes there.",
      outcome.step,
    )
    return STOPPED
  print(next_steps.after(options, outcome.step, rows))
  return DONE


def finetune_sweep(options, problems):
  """Fine-tunes every combination of a sweep; returns the exit status."""
  from tf_micle.modes import grid_search

  arms = problems.collect(sweep.read, options.sweep, flags.FLAGS)
  problems.stop_if_any()
  given = reader.given(but=("sweep", "model_dir"))
  commands = []
  for arm in arms:
    folder = os.path.join(options.model_dir, sweep.name(arm))
    own = [*sweep.arguments(arm), f"--model_dir={folder}"]
    program = [sys.executable, os.path.abspath(__file__)]
    commands.append((arm, [*program, *given, *own], folder))
  status, result = grid_search.search(
    options.model_dir,
    commands,
    select_by=options.select_by,
    bad_use=BAD_USE,
    stopped=STOPPED,
  )
  if status:
    return status
  print(grid_search.table(result, options.select_by))
  if result["best"] is None:
    logging.error("No combination came to an end; see the messages above.")
    return FAILED
  print(next_steps.evaluate(result["best"]))
  return DONE


def study(options, problems):
  """Runs a study of many runs; returns the exit status."""
  from data.records import dataset_json

  content = options.study and problems.collect(
    study_file.read,
    options.study,
    data_dir=options.data_dir,
    describe=dataset_json.load,
    runs=run_folder,
  )
  problems.stop_if_any()
  from tf_micle.modes import study
  from tf_micle.study import design

  outcome, found = study.run(
    design.of(content),
    [sys.executable, os.path.abspath(__file__)],
    options.model_dir,
    at_once=options.study_jobs,
  )
  if outcome == "stopped":
    logging.info("Stopped. The same command resumes the study.")
    return STOPPED
  print(found)
  print(f"In {options.model_dir}: study.html, study.md, study.csv")
  return {"done": DONE, "failed": FAILED}[outcome]


def show_pairs(options, problems):
  """Draws positive pairs, and trains nothing; returns the exit status."""
  from tf_micle.modes import show_pairs

  data = _data(options, problems)
  with data.damage_explained():
    mode = reader.pick(show_pairs.ShowPairsMode, options)
    show_pairs.run(mode, data, problems)
  print(f"Positive pairs: {options.show_pairs}")
  return DONE


def evaluate(options, problems):
  """Says how good a classifier is; returns the exit status."""
  from tf_micle.modes import evaluate
  from tf_micle.system import devices

  strategy = devices.choose(options, problems)
  data = _data(options, problems)
  trained = {}
  if options.model_dir:
    trained = problems.collect(run_folder.read_flags, options.model_dir) or {}
  with data.damage_explained():
    folder, summary = evaluate.run(
      reader.pick(evaluate.EvaluateMode, options),
      strategy,
      data,
      problems,
      own_data=reader.is_own_data(options, trained),
    )
  print(summary)
  print(
    f"In {folder}: report.html, metrics.json, predictions.csv, model_card.md, "
    "tables/, figures/"
  )
  return DONE


def export(options, problems):
  """Exports a run for TF Serving; returns the exit status."""
  from data import file_views
  from tf_micle.modes import export

  problems.stop_if_any()
  folder, signatures = export.run(
    reader.pick(export.ExportMode, options),
    file_views.of_run(options._asdict(), options.max_side),
    problems,
  )
  name = export.model_name(options.export_dir)
  print(next_steps.exported(folder, signatures, name))
  return DONE


def predict(options, problems):
  """Predicts images that a manifest lists; returns the exit status."""
  from data import file_views
  from data.batches import listed_images
  from tf_micle.modes import predict
  from tf_micle.prediction import outputs
  from tf_micle.system import devices

  strategy = devices.choose(options, problems)
  listed = reader.pick(listed_images.ListOptions, options)
  manifest, faults = listed_images.read_listed(listed)
  if manifest is None:
    problems.add(*as_lines(faults))

  def open_images():
    views = file_views.of_run(
      options._asdict(), options.max_side, options.window
    )
    images, wrong = listed_images.check_listed(manifest, listed, views, faults)
    problems.add(*wrong)
    return images

  outcome = predict.run(
    reader.pick(predict.PredictMode, options), strategy, open_images, problems
  )
  print(next_steps.predicted(options, outcome, outputs.rejected_path))
  return STOPPED if outcome.stopped else DONE


def atlas(options, problems):
  """Shows what a run has learnt of a split; returns the exit status."""
  from tf_micle.modes import atlas
  from tf_micle.system import devices

  strategy = devices.choose(options, problems)
  data = _data(options, problems)
  with data.damage_explained():
    mode = reader.pick(atlas.AtlasMode, options)
    print(f"{atlas.run(mode, strategy, data, problems)}: open it in a browser")
  return DONE


def _data(options, problems):
  from data import access
  from data.views import geometry

  if options.demo:
    problems.stop_if_any()  # Its data are made where they are missing.
    logging.info(
      "Neither --data_dir nor --dataset is set: this is the built-in demo. "
      "Flags that are not set come from flags/recipes/demo*.flags."
    )
  return access.DataAccess(
    reader.pick(access.DataOptions, options),
    reader.pick(geometry.ViewOptions, options),
  )


def _report(problems):
  """Prints what is wrong; returns the exit status."""
  print(
    f"{counted(len(problems), 'problem')}, nothing was started:",
    file=sys.stderr,
  )
  for problem in problems:
    print(f"- {problem}", file=sys.stderr)
  return BAD_USE


def parse(argv):
  """Parses the command line; ends the program where that is all there is."""
  try:
    return parsing.parse(argv)
  except UsageError as error:
    sys.exit(_report(error.problems))
  except SystemExit:
    # absl has printed the help that was asked for, and takes it for a failure.
    sys.exit(DONE)


def _terminate(number, frame):
  """Ends a command that has nothing to save, through its clean-up."""
  del number, frame
  raise SystemExit(STOPPED)


if __name__ == "__main__":
  # TensorFlow 2.15 logs three errors of its own build at every start; what it
  # raises is not affected, and the devices that it found are logged below.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  # Imports and graphs make objects that stay: looking for garbage among them
  # every 700 takes a tenth of a start (benchmarks/first_step.py).
  gc.set_threshold(50_000)
  signal.signal(signal.SIGTERM, _terminate)
  app.run(main, flags_parser=parse)
