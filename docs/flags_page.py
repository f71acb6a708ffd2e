"""docs/flags.md, made from the flags themselves.

python docs/flags_page.py > docs/flags.md
"""

from __future__ import annotations

import pathlib
import sys

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from absl import flags  # noqa: E402

from data import build_tfrecords  # noqa: E402
from flags import modes, reader  # noqa: E402

_HEAD = """\
# Flags

Every flag of both commands, made by `python docs/flags_page.py` and held by a
test. Modes are those of `run.py` that use a flag; the others refuse it. What is
not given comes, in this order, from the run that is resumed, started from or
used; from the demo's recipe without `--data_dir` and `--dataset`; from
`flags/recipes/finetune.flags` for `--mode=finetune` (with `--checkpoint`, first
from `finetune_from_weights.flags`, before the demo's); and from these defaults.
"""


def _default(flag):
  """Returns a flag's default as a user would write it."""
  if flag.default is None:
    return "-"
  if isinstance(flag.default, bool):
    return "on" if flag.default else "off"
  return f"`{flag.default}`"


def _meaning(flag):
  """Returns a flag's help in one cell of a table."""
  text = " ".join(flag.help.split()).replace("|", "\\|")
  values = getattr(flag.parser, "enum_values", None)
  if values:
    text = text.partition(">: ")[2]  # absl puts the values in front.
    text = f"One of {', '.join(f'`{value}`' for value in values)}. {text}"
  return text


def _section(title, found, columns):
  """Yields the lines of a table of flags."""
  yield f"\n## {title}\n"
  yield f"| {' | '.join(columns)} |"
  yield "|" + "---|" * len(columns)
  for flag in found:
    cells = {
      "flag": f"`--{flag.name}`",
      "modes": _modes(flag.name),
      "default": _default(flag),
      "meaning": _meaning(flag),
    }
    yield f"| {' | '.join(cells[name] for name in columns)} |"


def _modes(name):
  used = reader.modes_of_flags().get(name, modes.ALL)
  return "all" if set(used) == set(modes.ALL) else ", ".join(used)


def page():
  """Returns the text of docs/flags.md."""
  lines = [_HEAD + "\n# `python run.py`"]
  by_module = flags.FLAGS.flags_by_module_dict()
  for module in reader.MODULES:
    title = (module.__doc__ or "").strip().splitlines()[0].rstrip(".")
    found = by_module[module.__name__]
    lines += _section(title, found, ("flag", "modes", "default", "meaning"))
  lines.append("\n# `python -m data.build_tfrecords`")
  values = build_tfrecords.define_flags()
  found = [values[name] for name in values if name != "help"]
  lines += _section(
    "Flags of the builder", found, ("flag", "default", "meaning")
  )
  return "\n".join(lines) + "\n"


if __name__ == "__main__":
  sys.stdout.write(page())
