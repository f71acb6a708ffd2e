"""A look at records before training: text, and a page with pictures.

  python -m data.inspect --data_dir=RECORDS --recipe=derm_micle

docs/inspect.md tells all.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from absl import flags

from data import command
from data.images.worker_pool import default_workers
from data.problems import DataError, counted

_ROOT = pathlib.Path(__file__).parents[1]
_ROWS_PRINTED = 8


def define_flags() -> flags.FlagValues:
  """Returns flags of this command alone; parsing them leaves no trace."""
  values = flags.FlagValues()

  def text(name, help_text):
    flags.DEFINE_string(name, None, help_text, flag_values=values)

  text("data_dir", "Folder that data.build_tfrecords wrote. Required.")
  text("output", "The page. Default: RECORDS.inspect.html, beside the records.")
  text(
    "recipe",
    "A recipe of run.py, by name, as derm_micle, or a flag file: shows "
    "positive pairs as the network would see them.",
  )
  flags.DEFINE_integer(
    "workers", None, "Processes. Default: one a core.", 1, flag_values=values
  )
  flags.DEFINE_bool("help", False, "Shows this.", flag_values=values)
  return values


def main(argv: Sequence[str]) -> int:
  """Runs the command; see `command.run`. Worries are no failure."""
  return command.run(
    argv,
    define_flags(),
    usage=__doc__,
    check=_check,
    work=_inspect,
    name="The inspection",
    ends="no page was written",
  )


def _check(values):
  """Raises what is wrong with the flags, all at once."""
  wrong = []
  if not values.data_dir:
    wrong.append("Expected --data_dir, a folder of records. Received: nothing.")
  named = _ROOT / "flags" / "recipes" / f"{values.recipe}.flags"
  if named.is_file():
    values.recipe = os.fspath(named)
  if values.recipe and not os.path.isfile(values.recipe):
    names = ", ".join(sorted(path.stem for path in named.parent.glob("*")))
    wrong.append(
      f"Expected --recipe to be a file, or one of {names}. Received: "
      f"{values.recipe!r}."
    )
  folder = os.path.dirname(os.path.abspath(values.output or "."))
  if not os.path.isdir(folder) or os.path.isdir(values.output or ""):
    wrong.append(
      "Expected --output to be a file in a folder. Received: "
      f"{values.output!r}."
    )
  if wrong:
    raise flags.Error("\n".join(wrong))


def _inspect(values):
  """Writes the page; returns what to print."""
  from data.inspection import measured, near_duplicates, page, tables, worries
  from data.records import dataset_json

  description = dataset_json.load(values.data_dir)
  pairs = values.recipe and _pairs(values, description)
  m = measured.read(values.data_dir, values.workers or default_workers())
  groups = near_duplicates.groups(m.signatures)
  found = worries.worries(m, groups)
  output = values.output
  if not output:
    output = f"{os.path.normpath(values.data_dir)}.inspect.html"
  page.write(output, m, found, pairs)
  lines = [
    f"{title}\n{table.rename_axis(None, axis=0).to_string()}\n"
    for title, table in tables.tables(m)
  ]
  lines += [
    f"In {output}: the same with pictures. Keep it as the records.\n",
    f"{counted(len(found), 'worry')}:",
  ]
  for worry in found:
    lines.append(f"- {worries.LEVELS[worry.level]}: {worry.text}")
    more = len(worry.rows) - _ROWS_PRINTED
    rows = [*worry.rows[:_ROWS_PRINTED], *[f"and {more} more"] * (more > 0)]
    if rows:
      lines.append(f"    {'; '.join(rows)}")
  return "\n".join(lines)


def _pairs(values, description):
  """Returns a PNG of positive pairs, as `run.py` draws them under a recipe.

  In a process of its own: what the device does to views is no part of `data`.
  """
  split = max(
    description.splits,
    key=lambda s: (s == "train", description.splits[s].images),
  )
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "pairs.png")
    arguments = [
      *(sys.executable, os.fspath(_ROOT / "run.py")),
      f"--flagfile={values.recipe}",
      f"--data_dir={values.data_dir}",
      *("--mode=pretrain", f"--train_split={split}", f"--show_pairs={path}"),
    ]
    done = subprocess.run(
      arguments, capture_output=True, text=True, check=False
    )
    if done.returncode:
      raise DataError(
        "Expected --recipe to make pairs of these records, as run.py "
        f"--mode=pretrain does. Received: {values.recipe!r}. "
        f"{done.stderr.strip()}"
      )
    return pathlib.Path(path).read_bytes()


if __name__ == "__main__":
  command.main(main)
