"""Flags of a study's runs, as each run would take them."""

from __future__ import annotations

import contextlib
import shlex
import tempfile

from flags import checks, parsing, reader
from flags.problems import UsageError

# What the study sets itself for each run; with folds, the splits too.
_ITS_OWN = (
  *("mode", "model_dir", "checkpoint", "data_dir", "seed", "sweep"),
  *("label_fraction", "show_pairs"),
)
_OF_FOLDS = ("train_split", "eval_split")
# As `reader.options` takes them, the first one for the demo only.
_RECIPES = {"pretrain": ["demo"], "finetune": ["demo_finetune", "finetune"]}
_FROM_WEIGHTS = "finetune_from_weights"


def read(text, used_by, *, folds):
  """Returns the arguments in a text as a tuple, and a line for each problem.

  Args:
    text: as on a command line; a flag file is read, so that its lines count.
    used_by: the modes that must use all of its flags.
    folds: whether the study sets the splits.
  """
  values, problems = reader.fresh(), []
  try:
    given = tuple(shlex.split(text))
    parsing.parse(["run.py", *given], values)
    given = tuple(values.read_flags_from_files(given))
  except UsageError as error:
    problems += error.problems
  except ValueError as error:
    return (), [f"Expected flags. Received: {text} ({error})"]
  used = reader.modes_of_flags()
  for name in sorted(n for n in used if values[n].present):
    if name == "mode" and "--mode" not in text:
      continue  # A recipe may say its mode.
    if name in _ITS_OWN + _OF_FOLDS * folds:
      problems.append(
        f"Expected no --{name}: the study sets it. Received: --{name}"
      )
    elif not set(used_by) <= set(used[name]):
      problems.append(
        f"Expected flags of --mode={' and --mode='.join(used_by)}. Received: "
        f"--{name}, for {', '.join(used[name])}"
      )
    problems += checks.out_of_range(name, values[name].value)
  return given, problems


def values_of(mode, given, *, demo, starts=False):
  """Returns `absl.flags.FlagValues` of a run; `present` are those given.

  Args:
    mode: pretrain or finetune.
    given: its arguments.
    demo: whether it takes the built-in demo.
    starts: whether it starts from weights.
  """
  names = _RECIPES[mode][0 if demo else 1 :]
  if starts and mode == "finetune":
    names = [_FROM_WEIGHTS, *names]
  recipes = [
    f"--flagfile={reader.RECIPES}/{name}.flags" for name in reversed(names)
  ]
  values = reader.fresh()
  parsing.parse(["run.py", *recipes], values)
  for name in values:
    values[name].present = 0
  # What is wrong is told by `read`.
  with contextlib.suppress(UsageError):
    parsing.parse(["run.py", *given], values)
  for steps, epochs in checks.EITHER_OR.items():
    if values[epochs].present and not values[steps].present:
      values[steps].value = None
  return values


def problems(mode, given, *, demo, starts, runs, before=None):
  """Returns a line for each of a run's flags that do not go together.

  Args:
    mode, given, demo, starts: as in `values_of`.
    runs: `tf_micle.runs.folder`.
    before: arguments of the pretraining that it starts from, or None.
  """
  values = values_of(mode, given, demo=demo, starts=starts)
  used = reader.modes_of_flags()
  own = {name for name in used if values[name].present} - {"mode"}
  # The study makes the folders and gives the weights to start from.
  its_own = {"mode": mode, "model_dir": tempfile.gettempdir()}
  found = values.flag_values_dict() | its_own
  lines = checks.problems(found, own, modes=used, runs=runs)
  if before is not None:
    first = values_of("pretrain", before, demo=demo).flag_values_dict()
    # What a run does not say comes from where it starts.
    taken = {name: first[name] for name in first if name not in own}
    first["mode"] = "pretrain"
    lines += checks.network_problems(found | taken | its_own, first)
  return lines


def budget(stages, *, demo):
  """Returns (steps, views) of all stages, None where epochs decide."""
  steps = views = 0
  for stage in stages:
    values = values_of("pretrain", stage, demo=demo)
    if values["train_steps"].value is None:
      return None
    steps += values["train_steps"].value
    step = values["train_batch_size"].value * values["views_per_bag"].value
    views += values["train_steps"].value * step
  return steps, views
