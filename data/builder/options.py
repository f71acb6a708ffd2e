"""Options of a build, and the checks that need no look at the manifest."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.builder import beam_options
from data.images import windows
from data.manifest import pseudonyms, reshape_options, splits
from data.manifest.reshape_options import ReshapeOptions
from data.manifest.rows import ALL_FRAMES, ManifestColumns
from data.problems import DataError, InputError, Problem

DEFAULT_LABEL_COLUMN = "label"
DEFAULT_SPLIT_COLUMN = "split"
ON_BAD_IMAGE = ("fail", "skip")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class BuildOptions:
  """What to build from what.

  Attributes:
    manifest: the CSV file.
    image_root: folder of the images.
    output_dir: folder to write; must not exist, or be empty.
    image_column: column of paths below the image root.
    patient_column: column of patient ids.
    bag_column: column of bag ids (study, case); None: a bag is a patient.
    label_column: column of class names; None: 'label' where there is one.
    label_columns: columns of a multi-label task; not with label_column.
    split_column: column of split names; None: 'split' where there is one.
    metadata_columns: columns to keep of each image as they are (site, view).
    split_fractions: 'NAME=FRACTION' of each split to draw; with given splits,
      those to divide one of them into; (): 0.8 train, 0.1 validation, 0.1 test
      where there is no split column.
    max_side: larger images are shrunk to this many pixels.
    window: which range of deep gray pixels becomes black to white: 'dicom',
      'percentiles' or 'CENTER,WIDTH'.
    frames: of files with several: 'all', 'middle', or a column that says it.
    on_bad_image: 'fail', or 'skip' to build without them.
    workers: processes; None: one a core.
    runner: 'local': processes of this machine; 'beam': Apache Beam.
    beam_options: of Beam's pipeline, as a shell takes them.
    id_key_file: key of the pseudonyms, created where missing; None:
      `<output_dir>.id_key`.
    name: first part of the file names; None: from output_dir.
    seed: of the drawn splits and of the order of the bags.
    images_per_shard: about how many images to put in a file.
    reshape: how to make one row an image of a file that is otherwise.
  """

  manifest: str
  image_root: str
  output_dir: str
  image_column: str = "image"
  patient_column: str = "patient_id"
  bag_column: str | None = None
  label_column: str | None = None
  label_columns: tuple[str, ...] = ()
  split_column: str | None = None
  split_fractions: tuple[str, ...] = ()
  metadata_columns: tuple[str, ...] = ()
  max_side: int = 512
  window: str = windows.FULL
  frames: str = ALL_FRAMES
  on_bad_image: str = "fail"
  workers: int | None = None
  runner: str = "local"
  beam_options: str | None = None
  id_key_file: str | None = None
  name: str | None = None
  seed: int = 0
  images_per_shard: int = 1000
  reshape: ReshapeOptions = field(default_factory=ReshapeOptions)

  @property
  def output_path(self) -> Path:
    """The output folder, absolute, symbolic links followed."""
    return Path(os.path.realpath(self.output_dir))

  @property
  def key_path(self) -> Path:
    """The key file: by default a sibling of the output folder."""
    if self.id_key_file:
      return Path(os.path.abspath(self.id_key_file))
    output = self.output_path
    return output.with_name(output.name + ".id_key")

  @property
  def dataset_name(self) -> str:
    """The name, or one made of the output folder's."""
    if self.name:
      return self.name
    name = re.sub(r"\W+", "_", self.output_path.name, flags=re.ASCII)
    name = name.strip("_").lower()
    return name if _NAME.fullmatch(name) else f"bags_{name}".rstrip("_")

  def columns(self) -> ManifestColumns:
    """Returns the columns to read from the manifest."""
    label, split, optional = self.label_column, self.split_column, set()
    if label is None and not self.label_columns:
      label = DEFAULT_LABEL_COLUMN
      optional.add(label)
    if split is None and not self.split_fractions:
      split = DEFAULT_SPLIT_COLUMN
      optional.add(split)
    columns = ManifestColumns(
      image=self.image_column,
      patient=self.patient_column,
      bag=self.bag_column,
      label=label,
      labels=self.label_columns,
      split=split,
      metadata=self.metadata_columns,
      frames=self.frames,
      optional=frozenset(optional),
    )
    return self.reshape.columns(columns)

  def for_json(self, *, drawn: bool, rejected: int) -> dict[str, Any]:
    """Returns what shaped the data; no path, no name of a column.

    Args:
      drawn: whether the splits were drawn.
      rejected: images left out.
    """
    return {
      "bags": "column" if self.bag_column else "patient",
      "splits": "drawn" if drawn else "column",
      "split_fractions": list(self.split_fractions),
      "seed": self.seed,
      "max_side": self.max_side,
      "window": self.window,
      "frames": "column" if self.columns().frames_column else self.frames,
      "on_bad_image": self.on_bad_image,
      "rejected_images": rejected,
      "images_per_shard": self.images_per_shard,
    }


def check_options(options: BuildOptions) -> list[Problem]:
  """Returns all that is wrong with the options; looks at no row or image."""
  messages = [
    *_check_values(options),
    *_check_label_and_split(options),
    *beam_options.check(options.runner, options.beam_options, options.workers),
    *reshape_options.check(
      options.reshape, options.label_column, options.label_columns
    ),
    *(_check_image_root(options.image_root) if options.image_root else ()),
  ]
  problems = [Problem("bad option", message) for message in messages]
  if options.output_dir:
    problems += [
      Problem("bad option", message) for message in _check_output(options)
    ]
    try:
      pseudonyms.read_key(options.key_path)
    except InputError as error:
      problems += error.problems
  return problems


def _check_values(options: BuildOptions):
  for flag in ("manifest", "image_root", "output_dir"):
    if not getattr(options, flag):
      yield f"--{flag}: Expected a path. Received: nothing."
  for flag in ("image_column", "patient_column"):
    if not getattr(options, flag):
      yield f"--{flag}: Expected the name of a column. Received: nothing."
  for flag in ("max_side", "workers", "images_per_shard"):
    value = getattr(options, flag)
    if value is not None and value < 1:
      yield f"--{flag}: Expected a number from 1 up. Received: {value}."
  problem = windows.problem(options.window)
  if problem:
    yield problem
  if not options.frames:
    yield "--frames: Expected all, middle or a column. Received: nothing."
  if options.on_bad_image not in ON_BAD_IMAGE:
    yield (
      f"--on_bad_image: Expected {' or '.join(ON_BAD_IMAGE)}. Received: "
      f"{options.on_bad_image!r}."
    )
  if options.name and not _NAME.fullmatch(options.name):
    yield (
      "--name: Expected a letter, then letters, digits and _. Received: "
      f"{options.name!r}."
    )


def _check_label_and_split(options: BuildOptions):
  names = options.label_columns
  if options.label_column and names and not options.reshape.separator():
    yield (
      "Expected --label_column (one class an image) or --label_columns "
      "(several findings an image). Received: both."
    )
  if len(set(names)) < len(names) or not all(names):
    yield (
      "--label_columns: Expected the names of different columns. Received: "
      f"{','.join(names)!r}."
    )
  yield from _check_metadata(options)
  if options.split_column and options.reshape.manifest_split:
    yield (
      "Expected --split_column (splits in a column) or --manifest_split (a "
      "split a file). Received: both."
    )
  if options.split_fractions:
    try:
      splits.parse_fractions(options.split_fractions)
    except DataError as error:
      yield f"--split_fractions: {error}"


def _check_metadata(options: BuildOptions):
  names = options.metadata_columns
  if len(set(names)) < len(names) or not all(names):
    yield (
      "--metadata_columns: Expected the names of different columns. Received: "
      f"{','.join(names)!r}."
    )
  columns = options.columns()
  taken = {columns.image, columns.patient, columns.bag, columns.label}
  taken |= {*columns.labels, columns.split, *options.reshape.sources()}
  stored = columns.stored_metadata()
  if not all(stored) or len(set(stored)) < len(stored):
    yield (
      "--metadata_columns: Expected names that differ in letters and digits; "
      f"others are stored as _. Received: {','.join(names)!r}: rename a column."
    )
  for name in names:
    if name in taken:
      yield (
        "--metadata_columns: Expected columns of no other use; ids and paths "
        f"are never stored. Received: {name!r}."
      )


def _check_image_root(image_root: str):
  if not os.path.isdir(image_root):
    yield (
      "--image_root: Expected the folder of the images. Received: "
      f"{image_root!r}, which is not a folder."
    )


def _check_output(options: BuildOptions):
  output, key_path = options.output_path, options.key_path
  if os.path.lexists(output) and not output.is_dir():
    yield (
      "--output_dir: Expected a folder to write. Received: "
      f"{options.output_dir!r}, which is a file."
    )
  elif output.is_dir() and any(output.iterdir()):
    yield (
      "--output_dir: Expected a folder that does not exist yet or is empty. "
      f"Received: {options.output_dir!r}, which holds files: remove it or name "
      "another."
    )
  yield from _check_writable("--output_dir", output)
  real_key = Path(os.path.realpath(key_path))
  if output == real_key or output in real_key.parents:
    yield (
      "--id_key_file: Expected a file outside of the output folder, which is "
      f"there to be shared while the key is not. Received: {str(key_path)!r}: "
      "name a file elsewhere."
    )
  elif options.id_key_file and not key_path.exists():
    yield from _check_writable("--id_key_file", key_path)


def _check_writable(flag: str, path: Path):
  """Finds out whether `path` can be made, with folders that are missing."""
  parent = next(p for p in path.parents if os.path.lexists(p))
  if not parent.is_dir():
    yield (
      f"{flag}: Expected a path in a folder. Received: {str(path)!r}, and "
      f"{str(parent)!r} is a file: name another place."
    )
  elif not os.access(parent, os.W_OK | os.X_OK):
    yield (
      f"{flag}: Expected a path that can be written. Received: {str(path)!r}, "
      f"and no right to write in {str(parent)!r}: name another place."
    )
