"""Columns and rows of a manifest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

# What `ManifestColumns.frames` may be instead of a column.
ALL_FRAMES, MIDDLE_FRAME = "all", "middle"


@dataclass(frozen=True)
class ManifestColumns:
  """Names of the manifest's columns.

  Attributes:
    image: paths of the images, below the image root.
    patient: ids of the patients, None: each image is a patient of its own.
    bag: ids of the bags (a study, a case), None: a bag is a patient.
    label: class names of a multi-class task, or None.
    labels: columns of a multi-label task, one a finding, or ().
    split: names of the splits, or None.
    metadata: what to keep of each image as it is, or ().
    frames: of files with several frames: 'all', 'middle', or a column that
      says so row by row, or numbers one frame from 1.
    optional: those of the names above that may be missing from the file.
  """

  image: str = "image"
  patient: str | None = "patient_id"
  bag: str | None = None
  label: str | None = None
  labels: tuple[str, ...] = ()
  split: str | None = None
  metadata: tuple[str, ...] = ()
  frames: str = ALL_FRAMES
  optional: frozenset[str] = frozenset()

  @property
  def frames_column(self) -> str | None:
    """The column of frames, None where there is none."""
    told = (ALL_FRAMES, MIDDLE_FRAME)
    return None if self.frames in told else self.frames

  def names(self) -> tuple[str, ...]:
    """Returns all names that are set, each once."""
    names = (self.image, self.patient, self.bag, self.label, *self.labels)
    names = (*names, self.split, *self.metadata, self.frames_column)
    return tuple(dict.fromkeys(n for n in names if n))

  def stored_metadata(self) -> tuple[str, ...]:
    """Returns the metadata columns' names as TFDS takes them.

    'Frontal/Lateral' is stored as 'Frontal_Lateral'.
    """
    safe = (re.sub(r"[^\w -]+", "_", name) for name in self.metadata)
    return tuple(name.strip("_ ") for name in safe)


class ManifestRow(NamedTuple):
  """One image.

  Attributes:
    row: number of the row as a spreadsheet shows it (the header is row 1).
    image: the path as the manifest gives it.
    patient: id of the patient; the image's path without a patient column.
    bag: id of the bag; the patient's id without a bag column.
    label: class name (multi-class), C floats 1, 0, -1 or NaN (multi-label),
      or None (unlabelled).
    split: name of the split; None without a split column.
    metadata: the cells of the metadata columns, '' where missing.
    frames: which frames of the file: 'all', 'middle' or a number from 1.
    frame: of a file with several, the frame that is this image, from 0. None
      of other files, and before the file was looked at.
  """

  row: int
  image: str
  patient: str
  bag: str
  label: str | tuple[float, ...] | None
  split: str | None
  metadata: tuple[str, ...] = ()
  frames: str = ALL_FRAMES
  frame: int | None = None
