"""Reader of the flags that were parsed: completed, checked, frozen, once."""

from __future__ import annotations

import collections
import copy
import dataclasses
import os

from absl import flags

# Each import of a concern defines its flags.
from flags import (
  augmentation,
  checks,
  data,
  evaluation,
  exporting,
  finetuning,
  model,
  modes,
  objective,
  prediction,
  run,
  studying,
  training,
)

FLAGS = flags.FLAGS
MODULES = (
  run,
  data,
  augmentation,
  model,
  training,
  objective,
  finetuning,
  evaluation,
  exporting,
  prediction,
  studying,
)

RECIPES = os.path.join(os.path.dirname(__file__), "recipes")
# Steps or epochs: who gives one means it instead of the other.
_OTHER = {
  **checks.EITHER_OR,
  **{epochs: steps for steps, epochs in checks.EITHER_OR.items()},
}
# Where the images of a run come from; taken over together or not at all.
_SOURCE = ("data_dir", "dataset", "patient_feature")
# What an earlier version's fine-tuning took by default, it goes on with.
_OPTIMIZER = ("optimizer", "learning_rate")
# What evaluation and export need of a run beside where its data are.
_USED_OF_RUN = ("unit", "uncertain", "image_size", "resize_method")


def fresh():
  """Returns our flags once more, at their defaults, for `parsing.parse`.

  Only ours: absl's own change the log when they are set.
  """
  values = flags.FlagValues()
  for flag in map(copy.deepcopy, _ours()):
    flag.unparse()
    values[flag.name] = flag
  return values


def options(problems, runs):
  """Returns every flag's value, frozen; adds what is wrong with them together.

  Flags that the user did not set come from, in this order:

  1. the run that is resumed (what it did before a flag named it), the run or
     the published weights that are started from (the network), or the run that
     is evaluated, exported or used to predict (network and data);
  2. with neither --data_dir nor --dataset, the built-in demo's recipe;
  3. recipes/finetune.flags for --mode=finetune, and before it, and the demo's,
     finetune_from_weights.flags with --checkpoint;
  4. the flags' defaults, which are pretraining's.

  Args:
    problems: `problems.Problems`.
    runs: `tf_micle.runs.folder`, which knows what a run's folder holds.

  Returns:
    A named tuple with a field for each flag, and `demo`, a bool.
  """
  mode = FLAGS.mode
  settled = given = {f.name for f in _ours() if f.present}
  demo = FLAGS.data_dir is None and FLAGS.dataset is None
  demo = demo and mode != "study"  # Its file says what its data are.
  uses_run = mode in modes.USES_RUN
  earlier = {}
  if FLAGS.checkpoint and not (
    uses_run or runs.has_checkpoint(FLAGS.model_dir)
  ):
    earlier = problems.collect(runs.flags_to_start_from, FLAGS.checkpoint) or {}
  if demo and not uses_run and FLAGS.model_dir is None:
    FLAGS.model_dir = os.path.join("runs", f"demo-{mode}-{_method(earlier)}")
  resumed = not uses_run and runs.has_checkpoint(FLAGS.model_dir)
  starts_from = {} if resumed else earlier
  if FLAGS.model_dir and (uses_run or resumed):
    earlier = problems.collect(runs.read_flags, FLAGS.model_dir) or {}
  if uses_run:
    names = _USED_OF_RUN + _SOURCE * demo
    settled, faults = _fill_from_run(earlier, names, settled)
    problems.add(*faults)
    demo = demo and earlier.get("demo", True)
  elif earlier:
    names = [
      *_network(resumed),
      "image_size",
      *(runs.BEFORE if resumed else ()),
      *(_OPTIMIZER if resumed and mode == "finetune" else ()),
    ]
    settled, faults = _fill_from_run(earlier, names, settled)
    problems.add(*faults)
  if mode == "finetune" and FLAGS.checkpoint:
    settled = _fill_from_recipe("finetune_from_weights", settled)
  if demo and not uses_run:
    recipe = "demo" if mode == "pretrain" else "demo_finetune"
    settled = _fill_from_recipe(recipe, settled)
  if mode == "finetune":
    _fill_from_recipe("finetune", settled)
  values = {f.name: f.value for f in _ours()}
  values["resnet_depth"] = int(values["resnet_depth"])
  fields = sorted(values) + ["demo"]
  problems.add(
    *checks.problems(values, given, modes=modes_of_flags(), runs=runs),
    *checks.network_problems(values, starts_from),
  )
  return collections.namedtuple("Options", fields)(**values, demo=demo)


def modes_of_flags():
  """Returns the modes that use each flag, a dict of tuples by name."""
  by_module = FLAGS.flags_by_module_dict()
  return {
    f.name: modes.of(f.name, module.__name__.rpartition(".")[2])
    for module in MODULES
    for f in by_module[module.__name__]
  }


def not_default(options):
  """Returns the names of flags whose value is not the default, sorted."""
  return sorted(
    flag.name
    for flag in _ours()
    if str(getattr(options, flag.name)) != str(flag.default)
  )


def given(*, but=()):
  """Returns the arguments that the user gave, less the flags named in `but`."""
  return [f.serialize() for f in _ours() if f.present and f.name not in but]


def is_own_data(options, trained):
  """Whether --mode=eval takes the data that a run was trained on.

  Args:
    options: what `options` returned.
    trained: dict of the run's flags.
  """

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


def _ours():
  by_module = FLAGS.flags_by_module_dict()
  return [f for module in MODULES for f in by_module[module.__name__]]


def _names(modules):
  by_module = FLAGS.flags_by_module_dict()
  return [f.name for module in modules for f in by_module[module.__name__]]


def _network(resumed):
  """The flags of the network that come from the weights to start from."""
  names = _names([model])
  if not resumed and FLAGS.checkpoint_parts == "encoder":
    names = [name for name in names if "proj" not in name]
  return names


def _method(earlier):
  """Returns how the encoder was pretrained, for the name of a demo's run.

  Args:
    earlier: flags of the run to start from, {} without one.
  """
  if FLAGS.mode == "finetune" and not earlier:
    return "scratch"
  own = FLAGS.mode == "pretrain"
  micle = FLAGS.use_micle if own else earlier.get("use_micle")
  return "micle" if micle else "simclr"


def _fill_from_recipe(recipe, settled):
  """Takes what is not settled from a flag file; returns what then is."""
  path = os.path.join(RECIPES, f"{recipe}.flags")
  taken = set()
  for line in FLAGS.read_flags_from_files([f"--flagfile={path}"]):
    name, _, value = line.lstrip("-").partition("=")
    flag = FLAGS[name] if name in FLAGS else FLAGS[name.removeprefix("no")]
    if not settled & {flag.name, _OTHER.get(flag.name)}:
      _set(flag, value or str(name in FLAGS).lower())
      taken.add(flag.name)
  return settled | taken


def _fill_from_run(values, names, settled):
  """Takes what is not settled from a run's flags.

  Returns:
    What then is settled, and a line for each value that does not parse.
  """
  taken = {
    name
    for name in names
    if name not in settled and values.get(name) is not None
  }
  faults = []
  for name in sorted(taken):
    try:
      _set(FLAGS[name], str(values[name]))
    except ValueError as error:
      faults.append(
        f"Expected flags that this version knows in the flags.json of the run "
        f"to use. Received: --{name}={values[name]} ({_reason(error)}). Was it "
        "written by a newer version, or changed?"
      )
  return settled | taken, faults


def _reason(error):
  """Returns absl's words on a value; some of its errors carry a tuple."""
  return " ".join(map(str, error.args))


def _set(flag, text):
  """Sets a flag that the user did not give: it does not become `present`."""
  flag.value = flag.parser.parse(text)
