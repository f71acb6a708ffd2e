"""Unfinished predictions: kept beside the output, whole at the end.

`OUTPUT.partial/` holds what is finished. After each batch `progress.json` says
how long each file then was; whoever resumes cuts the files there. So a run that
is killed between two writes leaves no half row behind. Before an output is put
in its place, `progress.json` says that too: only such an output may be replaced
by whoever resumes.
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
_COUNTS = ("items", "rows", "rejected", "embedded")
_ALL = (ROWS, REJECTED, FEATURES, PLACES, THUMBNAILS, METADATA)


def folder(output):
  """Returns where the unfinished files of an output are."""
  return f"{output}.partial"


def placed(output):
  """Returns the real paths of what an earlier command began to put in place.

  Args:
    output: path of the finished file.
  """
  there = folder(output)
  progress = _read(there) or {}
  found = set(progress.get("placed", ()))
  # Earlier versions did not say so; what they placed last is this.
  if progress and not os.path.exists(os.path.join(there, ROWS)):
    found.add(os.path.realpath(output))
  return found


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
    self.counts = dict.fromkeys(_COUNTS, 0)
    self._identity = identity
    self._placed = placed(output)
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
      self._placed = set()
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
    self._write(
      {
        "identity": self._identity,
        "counts": self.counts,
        "lengths": {name: file.tell() for name, file in self._files.items()},
      }
    )

  def placing(self, path):
    """Notes that an output is about to be put in its place."""
    self._placed.add(os.path.realpath(path))
    self._write(_read(self.folder))

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
    progress = _read(self.folder)
    if (
      not progress
      or progress["identity"] != self._identity
      or not os.path.exists(output)
      or os.path.exists(self.path(ROWS))
    ):
      return False
    self.counts = progress["counts"]
    return True

  def _progress(self):
    """Returns what `save` wrote; None where there is nothing to resume."""
    missing = [n for n in _ALL if not os.path.isfile(self.path(n))]
    return None if missing else _read(self.folder)

  def _write(self, progress):
    placed = {"placed": sorted(self._placed)}
    write_json(self.path(_PROGRESS), {**progress, **placed})


def _read(folder):
  """Returns what `progress.json` says; None where it is not there or whole."""
  try:
    with open(os.path.join(folder, _PROGRESS), encoding="utf-8") as file:
      progress = json.load(file)
    counts, lengths = progress["counts"], progress["lengths"]
    whole = set(counts) == set(_COUNTS) and set(lengths) == set(_ALL)
    # Earlier versions had the names of the outputs there.
    identity = progress["identity"]
    identity["outputs"] = [bool(one) for one in identity["outputs"]]
  except (OSError, ValueError, TypeError, KeyError):
    return None
  return progress if whole else None


class _TextSink:
  """What a CSV writer needs of a file that counts in bytes."""

  def __init__(self, file):
    self._file = file

  def write(self, text):
    self._file.write(text.encode("utf-8"))
