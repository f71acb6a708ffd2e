"""Reads the command line once: parsed, completed, checked, frozen."""

from __future__ import annotations

import collections
import dataclasses
import os
import re

from absl import flags

# Each import of a concern defines its flags.
from flags import (
  augmentation,
  checks,
  data,
  evaluation,
  exporting,
  finetuning,
  inherited,
  model,
  prediction,
  run,
  training,
)
from flags.problems import UsageError

FLAGS = flags.FLAGS
MODULES = (
  run,
  data,
  augmentation,
  model,
  training,
  finetuning,
  evaluation,
  exporting,
  prediction,
)

_RECIPES = os.path.join(os.path.dirname(__file__), "recipes")
# Steps or epochs: who gives one means it instead of the other.
_OTHER = {
  **checks.EITHER_OR,
  **{epochs: steps for steps, epochs in checks.EITHER_OR.items()},
}
# Flags that not every mode uses.
_MODES = {
  **dict.fromkeys(
    (
      "use_micle",
      "temperature",
      "hidden_norm",
      "loss_reduction",
      "lineareval_while_pretraining",
      "micro_batch_size",
    ),
    ("pretrain",),
  ),
  **dict.fromkeys(
    ("remat", "precision", "read_parts"), ("pretrain", "finetune")
  ),
  "specificity": ("eval",),
  "bootstrap_samples": ("eval",),
  "compare": ("eval",),
  "max_side": ("export", "predict"),
}
# Where the images of a run come from; taken over together or not at all.
_SOURCE = ("data_dir", "dataset", "patient_feature")
# What a fine-tuned run says for its own evaluation, over and above `_SOURCE`.
_SCORED_AS = (finetuning, augmentation, model)


def parse(argv):
  """Parses a command line, going on past faults to find them all.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The positional arguments, the program's name first.

  Raises:
    UsageError: naming every unknown flag and every value that does not parse.
  """
  argv, problems = list(argv), []
  while True:
    try:
      rest = FLAGS(argv)
      break
    except flags.UnrecognizedFlagError as error:
      problems.append(str(error))
      bad = error.flagname
    except flags.Error as error:
      problems.append(str(error))
      bad = _named(str(error))
    kept = _without(argv, bad)
    if kept == argv:
      break
    argv = kept
  if not problems and len(rest) > 1:
    problems = [f"Expected flags only. Received: {' '.join(rest[1:])}"]
  if problems:
    raise UsageError(problems)
  return rest


def options():
  """Returns every flag's value, frozen, and what is wrong with them together.

  Flags that the user did not set come from, in this order:

  1. the run that is fine-tuned (its network), or evaluated, exported or used to
     predict (network and data);
  2. with neither --data_dir nor --dataset, the built-in demo's recipe;
  3. recipes/finetune.flags for --mode=finetune;
  4. the flags' defaults, which are pretraining's.

  Returns:
    A named tuple with a field for each flag, and `demo`, a bool; and a list of
    problems, a line each, empty where all is well.
  """
  mode, problems = FLAGS.mode, []
  settled = given = {f.name for f in _ours() if f.present}
  try:
    earlier = _earlier_run(mode)
  except ValueError as error:
    earlier, problems = {}, [str(error)]
  demo = FLAGS.data_dir is None and FLAGS.dataset is None
  if mode in checks.USES_RUN:
    names = _names(_SCORED_AS) + _data_flags(demo)
    settled = _fill_from_run(earlier, names, settled)
    demo = demo and earlier.get("demo", True)
  elif mode == "finetune":
    names = [*_names([model]), "image_size"]
    settled = _fill_from_run(earlier, names, settled)
  if demo and mode not in checks.USES_RUN:
    recipe = "demo" if mode == "pretrain" else "demo_finetune"
    settled = _fill_from_recipe(recipe, settled)
    if FLAGS.model_dir is None:
      FLAGS.model_dir = os.path.join("runs", f"demo-{mode}-{_method(earlier)}")
  if mode == "finetune":
    _fill_from_recipe("finetune", settled)
  values = {f.name: f.value for f in _ours()}
  values["resnet_depth"] = int(values["resnet_depth"])
  fields = sorted(values) + ["demo"]
  frozen = collections.namedtuple("Options", fields)(**values, demo=demo)
  problems += checks.problems(values, given, modes=_modes())
  return frozen, problems


def given(*, but=()):
  """Returns the arguments that the user gave, less the flags named in `but`."""
  return [f.serialize() for f in _ours() if f.present and f.name not in but]


def is_own_data(options):
  """Whether --mode=eval takes the data that the run was trained on."""
  trained = inherited.read(options.model_dir)

  def where(data_dir):
    return data_dir and os.path.realpath(data_dir)

  return (options.dataset, where(options.data_dir)) == (
    trained.get("dataset"),
    where(trained.get("data_dir")),
  )


def pick(options_class, options):
  """Makes a part's options object from the flags of the same names."""
  names = [field.name for field in dataclasses.fields(options_class)]
  return options_class(**{name: getattr(options, name) for name in names})


def _without(argv, name):
  """Drops the arguments that set the flag `name`."""
  if name is None:
    return argv
  pattern = re.compile(rf"--?(no)?{re.escape(name)}(=.*)?$")
  kept, drop_value = [], False
  for argument in argv:
    if drop_value and not argument.startswith("-"):
      drop_value = False
      continue
    drop_value = False
    if pattern.match(argument):
      drop_value = "=" not in argument
    else:
      kept.append(argument)
  return kept


def _ours():
  by_module = FLAGS.flags_by_module_dict()
  return [f for module in MODULES for f in by_module[module.__name__]]


def _names(modules):
  by_module = FLAGS.flags_by_module_dict()
  return [f.name for module in modules for f in by_module[module.__name__]]


def _data_flags(source_too):
  """The flags of a run's data; where images lie only if `source_too`."""
  own = {"eval_split", *_SOURCE}
  names = [name for name in _names([data]) if name not in own]
  return names + list(_SOURCE) * source_too


def _modes():
  """Returns the modes of each flag that not every mode uses."""
  finetuning_only = dict.fromkeys(_names([finetuning]), ("finetune",))
  training_only = dict.fromkeys(
    [*_names([model, augmentation]), "image_size", "train_split"],
    ("pretrain", "finetune"),
  )
  predicting_only = dict.fromkeys(_names([prediction]), ("predict",))
  exporting_only = dict.fromkeys(_names([exporting]), ("export",))
  return {
    **training_only,
    **finetuning_only,
    **predicting_only,
    **exporting_only,
    **_MODES,
  }


def _earlier_run(mode):
  """Returns the flags of the run that this one builds on, {} where none.

  That is the run itself where it goes on, or where it is used as it is.
  """
  path = None
  own = FLAGS.model_dir
  if mode in checks.USES_RUN or (
    mode == "finetune" and own and inherited.goes_on(own)
  ):
    path = own
  elif mode == "finetune":
    path = FLAGS.checkpoint
  return inherited.read(path) if path else {}


def _method(earlier):
  """Returns how the encoder was pretrained, for the name of a demo's run."""
  micle = earlier.get("use_micle", FLAGS.use_micle)
  if FLAGS.mode == "finetune" and not earlier:
    return "scratch"
  return "micle" if micle else "simclr"


def _fill_from_recipe(recipe, settled):
  """Takes what is not settled from a flag file; returns what then is."""
  path = os.path.join(_RECIPES, f"{recipe}.flags")
  taken = set()
  for line in FLAGS.read_flags_from_files([f"--flagfile={path}"]):
    name, _, value = line.lstrip("-").partition("=")
    flag = FLAGS[name] if name in FLAGS else FLAGS[name.removeprefix("no")]
    if not settled & {flag.name, _OTHER.get(flag.name)}:
      _set(flag, value or str(name in FLAGS).lower())
      taken.add(flag.name)
  return settled | taken


def _fill_from_run(values, names, settled):
  """Takes what is not settled from a run's flags; returns what then is."""
  taken = {
    name
    for name in names
    if name not in settled and values.get(name) is not None
  }
  for name in taken:
    _set(FLAGS[name], str(values[name]))
  return settled | taken


def _set(flag, text):
  """Sets a flag that the user did not give: it does not become `present`."""
  flag.value = flag.parser.parse(text)


def _named(message):
  """Returns the flag that an error of absl's names, or None."""
  match = re.search(r"--?(?:no)?([A-Za-z_]\w*)", message)
  return match and match.group(1)
