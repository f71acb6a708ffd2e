"""Unfinished predictions: kept beside the output, whole at the end.

`OUTPUT.partial/` holds what is finished. After each batch `progress.json` says
how long each file then was; whoever resumes cuts the files there. So a run that
is killed between two writes leaves no half row behind.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os

import numpy as np

from tf_micle.system.written_whole import write_json

_PROGRESS = "progress.json"
ROWS, REJECTED = "rows.csv", "rejected.csv"
FEATURES, PLACES = "features.float32", "rows.int64"
THUMBNAILS, METADATA = "thumbnails.uint8", "metadata.tsv"
_ALL = (ROWS, REJECTED, FEATURES, PLACES, THUMBNAILS, METADATA)


def folder(output):
  """Returns where the unfinished files of an output are."""
  return f"{output}.partial"


class PredictionFiles:
  """The unfinished files of one prediction.

  Attributes:
    folder: `OUTPUT.partial`.
    counts: dict of what is finished, which is resumed as the files are:
      'items', 'rows' of these, 'rejected' images, 'embedded' ones.
  """

  def __init__(self, output, identity):
    """Plans the files; writes nothing yet.

    Args:
      output: path of the finished file.
      identity: dict, for JSON, of all that the rows depend on.
    """
    self.folder = folder(output)
    self.counts = dict.fromkeys(("items", "rows", "rejected", "embedded"), 0)
    self._identity = identity
    self._files = {}

  def fits(self, *, may_have_rejected):
    """Whether what lies there is this prediction's, to resume.

    Args:
      may_have_rejected: whether images may have been left out so far.
    """
    progress = self._progress()
    return (
      progress is not None
      and progress["identity"] == self._identity
      and (may_have_rejected or not progress["counts"]["rejected"])
      and all(
        os.path.getsize(self.path(name)) >= length
        for name, length in progress["lengths"].items()
      )
    )

  def open(self, *, headers, fits):
    """Takes up what is finished, or starts anew.

    Args:
      headers: dict of file name to its first row, for tables.
      fits: what `fits` returned.
    """
    progress = self._progress() if fits else None
    if not fits:
      self.remove()
    os.makedirs(self.folder, exist_ok=True)
    for name in _ALL:
      self._files[name] = open(self.path(name), "ab")  # noqa: SIM115
      self._files[name].truncate(progress["lengths"][name] if fits else 0)
      self._files[name].seek(0, os.SEEK_END)
    if fits:
      self.counts = progress["counts"]
    else:
      for name, header in headers.items():
        self.add_rows(name, [header])
      self.save()

  def path(self, name):
    """Returns where one of the files is."""
    return os.path.join(self.folder, name)

  def add_rows(self, name, rows):
    """Adds rows of texts to a table."""
    tabs = name.endswith(".tsv")
    writer = csv.writer(
      _TextSink(self._files[name]),
      delimiter="\t" if tabs else ",",
      lineterminator="\n" if tabs else "\r\n",
    )
    writer.writerows(rows)

  def add_array(self, name, array):
    """Adds an array's bytes."""
    self._files[name].write(np.ascontiguousarray(array).tobytes())

  def save(self):
    """Makes what was added so far the place to resume from."""
    for file in self._files.values():
      file.flush()
      os.fsync(file.fileno())
    write_json(
      self.path(_PROGRESS),
      {
        "identity": self._identity,
        "counts": self.counts,
        "lengths": {name: file.tell() for name, file in self._files.items()},
      },
    )

  def close(self):
    """Closes the files; what was not saved will be done again."""
    for file in self._files.values():
      file.close()

  def remove(self):
    """Removes the files, when all is in its place or they are another's."""
    for name in (*_ALL, _PROGRESS):
      with contextlib.suppress(FileNotFoundError):
        os.remove(self.path(name))

  def finished(self, output):
    """Whether `output` is complete, and only its files were not removed yet."""
    there = os.path.exists(self.path(_PROGRESS)) and os.path.exists(output)
    if not there or os.path.exists(self.path(ROWS)):
      return False
    with open(self.path(_PROGRESS), encoding="utf-8") as file:
      self.counts = json.load(file)["counts"]
    return True

  def _progress(self):
    """Returns what `save` wrote; None where there is nothing to resume."""
    try:
      with open(self.path(_PROGRESS), encoding="utf-8") as file:
        progress = json.load(file)
      missing = [n for n in _ALL if not os.path.isfile(self.path(n))]
      return None if missing else progress
    except (OSError, ValueError):
      return None


class _TextSink:
  """What a CSV writer needs of a file that counts in bytes."""

  def __init__(self, file):
    self._file = file

  def write(self, text):
    self._file.write(text.encode("utf-8"))
