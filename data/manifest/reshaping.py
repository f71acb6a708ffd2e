"""Reshaping of a label file to one row an image: the steps, in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from data.manifest import image_paths, label_files, label_steps, manifest_checks
from data.manifest.reshape_options import ReshapeOptions, join_keys
from data.manifest.rows import ManifestColumns
from data.problems import InputError, Problem


class ReshapedTable(NamedTuple):
  """A table of one row an image, read as `csv_table.Table` is.

  Attributes:
    frame: the cells; its index is the row numbers.
    columns: those of use.
    encoding: of the manifest.
    notes: what the user should know though nothing is wrong.
    numbering: what row numbers mean that are none of the manifest's.
  """

  frame: pd.DataFrame
  columns: ManifestColumns
  encoding: str
  notes: list[str]
  numbering: list[str]
  header_row: int | None = None

  @property
  def header(self) -> tuple[str, ...]:
    """Names of the columns."""
    return tuple(self.frame.columns)

  def rows(self) -> Iterator[tuple[int, list[str]]]:
    """Yields (row number, cells)."""
    for number, *cells in self.frame.itertuples(name=None):
      yield number, cells


def reshape(
  path: Path,
  columns: ManifestColumns,
  options: ReshapeOptions,
  image_root: str,
  problems: list[Problem],
) -> ReshapedTable:
  """Takes the steps that the options name.

  Args:
    path: the manifest.
    columns: of use, those that steps make among them.
    options: the steps.
    image_root: folder of the images, for `image_folders`.
    problems: what is wrong with rows is added to.

  Raises:
    InputError: a file or a column that is not there, or not as it should be.
  """
  notes: list[str] = []
  frame, table = label_files.read(path, columns.names(), problems)
  if frame.empty:
    raise InputError([] if problems else [manifest_checks.no_rows(path)])
  frame, numbering = label_files.append(
    frame, path, options.manifest_split, options.more_manifests
  )
  if options.image_columns:
    frame, more = image_paths.one_image_a_row(
      frame, options.image_columns, problems
    )
    numbering += more
  waiting = []  # Patterns of columns that only a join brings.
  for step in options.pattern:
    if step.partition(":")[0] in frame.columns:
      frame = image_paths.extract(frame, step, problems)
    else:
      waiting.append(step)
  for step in options.join:
    file = step.rpartition(":")[0]
    frame, more = label_files.join(frame, file, join_keys(step), path.parent)
    notes += more
  for step in waiting:
    frame = image_paths.extract(frame, step, problems)
  frame, columns, more = _labelled(frame, columns, options, problems)
  frame = _placed(frame, columns, options, image_root, problems)
  return ReshapedTable(frame, columns, table.encoding, notes + more, numbering)


def _labelled(
  frame: pd.DataFrame,
  columns: ManifestColumns,
  options: ReshapeOptions,
  problems: list[Problem],
) -> tuple[pd.DataFrame, ManifestColumns, list[str]]:
  """Takes the steps that make labels; returns notes, too."""
  notes: list[str] = []
  if options.one_hot_columns:
    frame = label_steps.class_of_one_hot(
      frame, options.one_hot_columns, problems
    )
  if options.separator():
    frame, findings, notes = label_steps.findings_of_texts(
      frame,
      columns.label,
      options.separator(),
      options.no_finding_labels,
      columns.labels,
      problems,
    )
    columns = dataclasses.replace(columns, label=None, labels=findings)
  if options.blank == "absent":
    frame = label_steps.blanks_absent(frame, columns.labels)
  return frame, columns, notes


def _placed(
  frame: pd.DataFrame,
  columns: ManifestColumns,
  options: ReshapeOptions,
  image_root: str,
  problems: list[Problem],
) -> pd.DataFrame:
  """Takes the steps that need the images' paths."""
  if options.path_template:
    frame = image_paths.from_template(
      frame, options.path_template, options.template_columns(), problems
    )
  if options.image_folders:
    frame = image_paths.in_folders(
      frame, columns.image, options.image_folders, image_root, problems
    )
  if options.blank_patients == "own":
    image, patient = columns.image, columns.patient
    label_files.need(frame, [image, patient], "--blank_patients")
    unknown = label_files.is_missing(frame[patient])
    named = frame[patient].mask(unknown, "image " + frame[image])
    frame = frame.assign(**{patient: named})
  if options.merge_rows:
    others = {columns.patient, columns.bag, columns.label, columns.split}
    others |= set(columns.metadata)
    others -= {None, *(columns.optional - set(frame.columns))}
    frame = label_steps.merge_rows(
      frame, columns.image, columns.labels, sorted(others), problems
    )
  return frame
