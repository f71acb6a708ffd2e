"""Options that make one row an image of a label file that is otherwise."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from data.manifest.rows import ManifestColumns
from data.manifest.splits import is_split_name

BLANK = ("missing", "absent")
BLANK_PATIENTS = ("fail", "own")
LIST, NONE = "list", "none"
# Columns that steps make.
IMAGE, IMAGE_COLUMN = "image", "image_column"
FILE_SPLIT = "--manifest_split"
ONE_HOT = "--one_hot_columns"


@dataclass(frozen=True)
class ReshapeOptions:
  """The steps, in the order in which they are taken; all empty: none is.

  Attributes:
    manifest_split: the split of all rows of the manifest.
    more_manifests: 'SPLIT=FILE', or 'FILE', of files of the same columns.
    image_columns: columns of images where a row has several.
    pattern: 'COLUMN:REGEX'; each named group is a new column.
    join: 'FILE:KEY' or 'FILE:KEY,OTHER=KEY', files of further columns.
    one_hot_columns: columns of which one is 1: the class.
    label_separator: what stands between findings in the label column, 'list'
      for a list in text, 'none': each text is one class.
    no_finding_labels: labels that mean that there is no finding.
    blank: what an empty cell says of a finding in a row that states another.
    path_template: the image's path, of columns: 'p{patient}/{image}.jpg'.
    image_folders: folders below the image root, where an image is in one.
    blank_patients: 'own': an image without a patient is one of its own.
    merge_rows: whether several rows may tell of one image.
  """

  manifest_split: str | None = None
  more_manifests: tuple[str, ...] = ()
  image_columns: tuple[str, ...] = ()
  pattern: tuple[str, ...] = ()
  join: tuple[str, ...] = ()
  one_hot_columns: tuple[str, ...] = ()
  label_separator: str | None = None
  no_finding_labels: tuple[str, ...] = ()
  blank: str = "missing"
  path_template: str | None = None
  image_folders: tuple[str, ...] = ()
  blank_patients: str = "fail"
  merge_rows: bool = False

  def used(self) -> bool:
    """Whether there is any step."""
    return any(
      getattr(self, field.name) != field.default
      for field in fields(self)
      if field.name != "label_separator" or self.label_separator != NONE
    )

  def columns(self, columns: ManifestColumns) -> ManifestColumns:
    """Returns the columns of use, given those that steps make."""
    made = {}
    if self.path_template or self.image_columns:
      made["image"] = self.path_template or IMAGE
    if self.one_hot_columns:
      made["label"] = ONE_HOT
    if self.manifest_split:
      made["split"] = FILE_SPLIT
    return replace(columns, **made)

  def separator(self) -> str | None:
    """Returns what divides labels, None where each is one class."""
    return None if self.label_separator == NONE else self.label_separator

  def template_columns(self) -> tuple[str, ...]:
    """Returns the columns that a path is made of."""
    try:
      parts = list(string.Formatter().parse(self.path_template or ""))
    except ValueError:  # A brace that is not closed.
      return ("",)
    return tuple(name for _, name, _, _ in parts if name is not None)

  def sources(self) -> set[str]:
    """Returns the columns that ids and paths are made of."""
    keys = {
      key for step in self.join for pair in join_keys(step) for key in pair
    }
    patterns = {step.partition(":")[0] for step in self.pattern}
    return {*self.image_columns, *self.template_columns(), *keys, *patterns}


def join_keys(step: str) -> list[tuple[str, str]]:
  """Returns the (manifest's, file's) columns of 'FILE:KEY,OTHER=KEY'."""
  keys = [key.strip() for key in step.rpartition(":")[2].split(",")]
  return [
    (ours.strip(), (theirs or ours).strip())
    for ours, _, theirs in (key.partition("=") for key in keys)
  ]


def split_and_file(item: str) -> tuple[str, str]:
  """Returns the parts of 'SPLIT=FILE'; the split is '' in 'FILE'."""
  split, _, file = item.rpartition("=")
  return split.strip(), file.strip()


def check(
  options: ReshapeOptions,
  label_column: str | None,
  label_columns: tuple[str, ...],
) -> Iterator[str]:
  """Yields what is wrong with the options; looks at no file."""
  yield from _check_lists(options)
  yield from _check_files(options)
  for step in options.pattern:
    column, _, pattern = step.partition(":")
    try:
      groups = re.compile(pattern).groupindex
    except re.error as error:
      yield f"--pattern: Expected a regular expression. Received: {error}."
      continue
    if not column or not groups:
      yield (
        r"--pattern: Expected COLUMN:REGEX with named groups, as "
        r"Path:(?P<patient_id>patient\d+). "
        f"Received: {step!r}."
      )
  if options.path_template and not all(options.template_columns() or ("",)):
    yield (
      "--path_template: Expected names of columns in braces, as "
      f"{{image_id}}.jpg. Received: {options.path_template!r}."
    )
  yield from _check_labels(options, label_column, label_columns)


def _check_lists(options: ReshapeOptions) -> Iterator[str]:
  for flag in ("image_columns", "one_hot_columns"):
    names = getattr(options, flag)
    if names and (len(set(names)) < max(2, len(names)) or not all(names)):
      yield (
        f"--{flag}: Expected the names of different columns, at least two. "
        f"Received: {','.join(names)!r}."
      )
  for flag in ("image_folders", "no_finding_labels"):
    if not all(getattr(options, flag)):
      yield f"--{flag}: Expected names. Received: an empty one."
  for flag, known in (("blank", BLANK), ("blank_patients", BLANK_PATIENTS)):
    if getattr(options, flag) not in known:
      yield (
        f"--{flag}: Expected {' or '.join(known)}. Received: "
        f"{getattr(options, flag)!r}."
      )


def _check_files(options: ReshapeOptions) -> Iterator[str]:
  splits = [options.manifest_split or ""]
  for item in options.more_manifests:
    split, file = split_and_file(item)
    splits.append(split)
    if not file:
      yield f"--more_manifests: Expected SPLIT=FILE. Received: {item!r}."
  for split in splits:
    if split and not is_split_name(split):
      yield (
        "--manifest_split, --more_manifests: Expected a split name of letters, "
        f'digits and _ (not "all"). Received: {split!r}.'
      )
  if any(splits) and not all(splits):
    yield (
      "Expected a split for each file, by --manifest_split and "
      "--more_manifests=SPLIT=FILE, or for none. Received: some without."
    )
  for step in options.join:
    file = step.rpartition(":")[0]
    if not file or not all(key for pair in join_keys(step) for key in pair):
      yield (
        "--join: Expected FILE:KEY, or FILE:KEY,OTHER=KEY where the columns' "
        f"names differ. Received: {step!r}."
      )


def _check_labels(
  options: ReshapeOptions,
  label_column: str | None,
  label_columns: tuple[str, ...],
) -> Iterator[str]:
  if options.one_hot_columns and (label_column or label_columns):
    yield (
      "Expected --one_hot_columns (one column a class), or --label_column or "
      "--label_columns. Received: several."
    )
  if options.separator() and not label_column:
    yield (
      "--label_separator: Expected --label_column, the column to divide. "
      "Received: none."
    )
  if options.no_finding_labels and not options.separator():
    yield (
      "--no_finding_labels: Expected --label_separator, by which labels are "
      "findings. Received: none."
    )
  if options.blank == "absent" and (not label_columns or options.separator()):
    yield (
      "--blank=absent: Expected findings in columns of their own, by "
      "--label_columns. Received: none."
    )
