"""Outcome of a command for the terminal, and what to try next."""

from __future__ import annotations

import os
import shlex


def after(options, step, rows):
  """Returns what to print when training is done.

  Args:
    options: every flag's value.
    step: steps done.
    rows: the run's log, a dict a logged step.
  """
  last = ", ".join(
    f"{name} {value:.4g}"
    for name, value in (rows[-1] if rows else {}).items()
    if not name.startswith("health_")  # The log has a line on these.
  )
  lines = [
    f"Done: {_counted(step, 'step')} in {options.model_dir}. {last}",
    f"Curves and pictures: tensorboard --logdir={_quoted(options.model_dir)}",
  ]
  if options.mode == "finetune":
    lines.append(evaluate(options.model_dir))
  else:
    lines += _after_pretraining(options)
  return "\n".join(lines)


def evaluate(model_dir):
  """Returns how to evaluate a fine-tuned run."""
  return (
    "How good it is: python run.py --mode=eval --eval_split=test "
    f"--model_dir={_quoted(model_dir)}"
  )


def predicted(options, outcome, rejected_path):
  """Returns what to print when prediction ends or is stopped.

  Args:
    options: every flag's value.
    outcome: has `rows`, `rejected` and `stopped`.
    rejected_path: from the output's path to that of the images left out.
  """
  if outcome.stopped:
    done = _counted(outcome.rows, options.unit)
    return f"Stopped after {done}, saved. The same command resumes there."
  lines = [f"{_counted(outcome.rows, options.unit)} in {options.output}"]
  if outcome.rejected:
    path = rejected_path(options.output)
    lines.append(f"Left out: {_counted(outcome.rejected, 'image')}, in {path}")
  if options.embeddings:
    lines.append(f"Features: {options.embeddings}")
  folder = options.tensorboard_projector
  if folder:
    lines.append(f"Projector: tensorboard --logdir={_quoted(folder)}")
  return "\n".join(lines)


def exported(folder, signatures, name):
  """Returns what to print when a model is exported.

  Args:
    folder: of the version.
    signatures: their names.
    name: to serve the model by.
  """
  served = os.path.dirname(os.path.abspath(folder))
  return (
    f"{folder}: signatures {', '.join(signatures)}\n"
    "To serve it (docs/serving.md): docker run -p 8500:8500 -p 8501:8501 "
    f"-v {_quoted(served)}:/models/{name} -e MODEL_NAME={name} "
    "tensorflow/serving\n"
    f"To look at it: saved_model_cli show --dir {_quoted(folder)} --all"
  )


def _after_pretraining(options):
  data = "" if options.demo else " --model_dir=TUNED"
  usual = {"train_split": "train", "eval_split": "validation"}
  own = ("data_dir", "dataset", "patient_feature", *usual)
  for name in own:
    if getattr(options, name) not in (None, usual.get(name)):
      data += f" --{name}={_quoted(getattr(options, name))}"
  yield (
    "A classifier, from a tenth of the labels if there are any: "
    "python run.py --mode=finetune "
    f"--label_fraction=0.1 --checkpoint={_quoted(options.model_dir)}{data}"
  )
  if options.demo:
    other = "" if options.use_micle else " --use_micle"
    yield f"To compare: python run.py --mode=pretrain{other}"
    yield (
      "Your own images: python -m data.build_tfrecords --manifest=M.csv "
      "--image_root=DIR --output_dir=RECORDS"
    )
  elif not options.use_micle:
    yield (
      "MICLe from these weights: the same flags with --use_micle "
      f"--checkpoint={_quoted(options.model_dir)} and another --model_dir"
    )


def _counted(count, noun):
  return f"{count} {noun}{'s' * (count != 1)}"


def _quoted(path):
  """Returns a path as a shell takes it, spaces and all."""
  return shlex.quote(str(path))
