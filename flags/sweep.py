"""Sweep file: flag values to try, every combination of them."""

from __future__ import annotations

import difflib
import itertools

from flags import checks
from flags.problems import UsageError

# What the sweep itself sets or needs.
_NOT_SWEPT = (
  *("mode", "model_dir", "sweep", "flagfile", "compare"),
  # Scores of other data, or other scores, cannot be compared.
  *("select_by", "train_split", "eval_split", "label_fraction", "unit"),
  *("data_dir", "dataset", "patient_feature", "strategy", "tpu_name"),
)


def read(path, known):
  """Returns the combinations in a file of lines such as --learning_rate=0.1,1.

  Args:
    path: the file; empty lines and what follows a # are left out.
    known: dict of flag name to absl flag.

  Returns:
    A list of dicts, flag name to value as text.

  Raises:
    UsageError: with a line for each problem.
  """
  try:
    with open(path, encoding="utf-8") as file:
      lines = [line.split("#")[0].strip() for line in file]
  except (OSError, UnicodeDecodeError) as error:
    raise UsageError(
      [f"Expected --sweep to be a file of flag values. Received: {error}"]
    ) from error
  values, faults = {}, []
  for number, line in enumerate(lines, start=1):
    if line:
      name, _, listed = line.lstrip("-").partition("=")
      choices = [text.strip() for text in listed.split(",")]
      faults += [
        f"{path}, line {number}: {fault}"
        for fault in _faults(name, choices, values, known)
      ]
      values[name] = choices
  if not values:
    faults.append(
      f"Expected a line --flag=value,value in {path}. Received: none"
    )
  if faults:
    raise UsageError(faults)
  return [
    dict(zip(values, choice)) for choice in itertools.product(*values.values())
  ]


def name(arm):
  """Returns a folder's name for a combination."""
  return ",".join(f"{flag}={value}" for flag, value in arm.items())


def arguments(arm):
  """Returns a combination as command-line arguments."""
  return [f"--{flag}={value}" for flag, value in arm.items()]


def _faults(name, choices, values, known):
  if name not in known or name in _NOT_SWEPT:
    near = difflib.get_close_matches(name, set(known) - set(_NOT_SWEPT), n=1)
    hint = f". Did you mean --{near[0]}?" if near and name not in known else ""
    yield f"Expected a flag to vary. Received: --{name}{hint}"
    return
  if name in values:
    yield f"Expected each flag once. Received: --{name} again"
  if len(set(choices)) < len(choices):
    yield f"Expected different values. Received: --{name}={','.join(choices)}"
  for text in choices:
    try:
      if not text:
        raise ValueError("an empty value")
      yield from checks.out_of_range(name, known[name].parser.parse(text))
    except ValueError as error:
      words = ": ".join(map(str, error.args))
      yield f"Expected a value of --{name}. Received: {text} ({words})"
