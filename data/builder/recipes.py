"""Recipes: flags of the builder for a public data set, in a file.

A recipe is an absl flagfile. Flags that the user gives win over it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from absl import flags

_FOLDER = Path(__file__).parent.parent / "recipes"
# Who gives the first means it in place of what a recipe says by the others.
_REPLACES = {
  "image_column": ("image_columns", "path_template"),
  "image_columns": ("path_template",),
  "label_column": (
    "label_columns",
    "one_hot_columns",
    "label_separator",
    "no_finding_labels",
    "blank",
  ),
  "one_hot_columns": (
    "label_column",
    "label_columns",
    "label_separator",
    "no_finding_labels",
    "blank",
  ),
  "label_columns": ("one_hot_columns",),
  "split_column": ("manifest_split", "more_manifests", "split_fractions"),
}


def names() -> list[str]:
  """Returns the names of the recipes that come with the builder."""
  return sorted(path.stem for path in _FOLDER.glob("*.flags"))


def fill(
  values: flags.FlagValues, define_flags: Callable[[], flags.FlagValues]
) -> None:
  """Sets the flags that --recipe names and the command does not.

  Args:
    values: the command's flags, parsed.
    define_flags: makes flags of the same names.

  Raises:
    flags.Error: no such recipe, or a flag in it is not right.
  """
  recipe = define_flags()
  try:
    # absl's own --flagfile stops, silently, at a line that is no flag.
    rest = recipe(["recipe", *_lines(_find(values.recipe))])[1:]
    if rest:
      raise flags.Error(f"Expected a flag a line. Received: {rest[0]!r}.")
  except (flags.Error, UnicodeDecodeError, OSError) as error:
    raise flags.Error(f"--recipe={values.recipe}: {error}") from error
  if recipe.recipe:
    raise flags.Error(
      f"--recipe={values.recipe}: Expected no recipe in a recipe. Received: "
      f"{recipe.recipe!r}: name its file by --flagfile."
    )
  given = {name for name in values if values[name].present}
  replaced = {other for name in given for other in _REPLACES.get(name, ())}
  if "label_columns" in given and not recipe.label_separator:
    replaced.add("label_column")
  for name in set(recipe) - given - replaced:
    if recipe[name].present:
      values[name].value = recipe[name].value


def _lines(path: Path) -> list[str]:
  """Returns the lines of a file that hold a flag."""
  lines = map(str.strip, path.read_text(encoding="utf-8-sig").splitlines())
  return [line for line in lines if line and not line.startswith(("#", "//"))]


def _find(recipe: str) -> Path:
  """Returns the file of a recipe, given its name or the file.

  Raises:
    flags.Error: there is none.
  """
  if recipe in names():
    return _FOLDER / f"{recipe}.flags"
  if not os.path.isfile(recipe):
    raise flags.Error(
      f"Expected a file, or one of {', '.join(names())}. Received: {recipe!r}."
    )
  return Path(recipe)
