"""Description of a checkpoint: `python -m tf_micle.runs.inspect PATH`.

PATH is what --checkpoint takes: a run's folder, a checkpoint in it, or
published weights. Prints what it is, its network, parameters, step and classes,
what it can be used for, and the command for that; of a run also its flags,
patients and best validation score.
"""

from __future__ import annotations

import collections
import math
import os
import shlex
import sys

from tf_micle.runs import folder as run_folder
from tf_micle.system.input_error import InputError

_PARTS = ("encoder", "projection_head", "pooling", "head", "probe")
_HIDDEN_IN_LISTS = 8


def main(argv):
  """Prints the description; returns the exit status, 2 for a bad path."""
  if len(argv) != 2 or argv[1].startswith("-"):
    print(__doc__, file=sys.stderr)
    return 2
  try:
    print(describe(argv[1]))
  except InputError as error:
    print(error, file=sys.stderr)
    return 2
  return 0


def describe(path):
  """Returns what a checkpoint is, as text.

  Args:
    path: as in `initial_weights.open_source`.

  Raises:
    InputError: where it is none that a run could start from.
  """
  from tf_micle.runs import initial_weights

  source = initial_weights.open_source(path)
  flags = run_folder.flags_to_start_from(path)
  run_dir = run_folder.of_checkpoint(path) if source.own else None
  rows = [
    ("path", source.path),
    ("network", _network(flags)),
    ("parameters", _parameters(source)),
    ("step", "not told" if source.step is None else source.step),
    ("image size", _image_size(source)),
    *(_of_run(run_dir, flags) if run_dir else [_classes(source)]),
    *_uses(path, run_dir, flags),
  ]
  if source.left:
    rows.insert(3, ("not used", ", ".join(source.left[:_HIDDEN_IN_LISTS])))
  width = max(len(name) for name, _ in rows)
  title = _kind(flags) if source.own else source.format
  return "\n".join([title, *(f"  {name:{width}}  {v}" for name, v in rows)])


def _kind(flags):
  mode = flags.get("mode")
  method = "MICLe" if flags.get("use_micle") else "SimCLR"
  return {
    "pretrain": f"Run of this program, pretrained ({method})",
    "finetune": "Run of this program, fine-tuned",
  }.get(mode, "Checkpoint of this program, without its flags.json")


def _network(flags):
  names = (
    *("resnet_depth", "resnet_variant", "width_multiplier", "sk_ratio"),
    *("proj_head_mode", "num_proj_layers", "proj_out_dim"),
  )
  found = [
    f"--{name}={_number(flags[name])}" for name in names if name in flags
  ]
  return " ".join(found) or "not told: give the flags of the network"


def _number(value):
  return f"{value:g}" if isinstance(value, float) else value


def _parameters(source):
  """Returns numbers of parameters by part, moving statistics included."""
  counts = collections.Counter()
  for name, shape in source.shapes.items():
    part = name.split("/")[0]
    if part in _PARTS and ".OPTIMIZER_SLOT" not in name:
      counts[part] += math.prod(shape)
  return ", ".join(
    f"{part} {counts[part]:,}" for part in _PARTS if counts[part]
  )


def _image_size(source):
  if source.image_size:
    return f"{source.image_size} pixels"
  if source.small_stem is None:
    return "not told"
  return (
    f"{'up to' if source.small_stem else 'more than'} 32 pixels, by the stem"
  )


def _classes(source):
  return "classes", source.classes or "none: it has no classifier"


def _of_run(run_dir, flags):
  """Yields the rows that only a run of ours has."""
  from tf_micle.runs import initial_weights, provenance, trained_on

  facts = provenance.read(run_dir)
  names = facts.get("class_names", ())
  shown = ", ".join(names[:_HIDDEN_IN_LISTS])
  more = ", ..." if len(names) > _HIDDEN_IN_LISTS else ""
  yield "classes", f"{len(names)}: {shown}{more}" if names else "none"
  yield "validation", _best(run_dir, flags)
  for one in trained_on.read(run_dir):
    count = len(one.patients)
    seen = f"{count} patient{'s' * (count != 1)} of" if count else "unknown:"
    yield f"seen ({one.stage})", f"{seen} {one.data}"
  for line in initial_weights.described(run_dir):
    yield "started from", line
  told = facts.get("flags_not_default")
  listed = sorted(flags) if told is None else told
  name = "all flags" if told is None else "flags not default"
  yield name, " ".join(f"--{n}={shlex.quote(str(flags[n]))}" for n in listed)


def _best(run_dir, flags):
  from tf_micle.runs import run_log, selection

  rows = run_log.read(run_dir)
  name, score = flags.get("select_by"), "probe_accuracy"
  best = None
  if flags.get("mode") == "finetune":
    score = f"{selection.PREFIX}{name}"
    best = selection.best(rows, name)
  else:
    scored = [row for row in rows if row.get(score) is not None]
    best = max(scored, key=lambda row: row[score], default=None)
  if best is None:
    return "none"
  return f"best {score} {best[score]:.4g} at step {best['step']}"


def _uses(path, run_dir, flags):
  """Yields what it can be used for, and the commands."""
  start = f"--checkpoint={shlex.quote(str(path))} --data_dir=RECORDS"
  yield (
    "to pretrain",
    f"python run.py --mode=pretrain --use_micle {start} --model_dir=RUN",
  )
  yield (
    "to fine-tune",
    f"python run.py --mode=finetune {start} --model_dir=TUNED",
  )
  if not run_dir:
    return
  own = f"--model_dir={shlex.quote(os.path.relpath(run_dir))}"
  if flags.get("mode") == "finetune":
    yield "to evaluate", f"python run.py --mode=eval --eval_split=test {own}"
    yield (
      "to predict",
      "python run.py --mode=predict --manifest=N.csv --image_root=DIR "
      f"--output=out.csv {own}",
    )
  yield "to export", f"python run.py --mode=export --export_dir=SERVING {own}"


if __name__ == "__main__":
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  sys.exit(main(sys.argv))
