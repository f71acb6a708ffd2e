"""CSV files of predictions, a row an item."""

from __future__ import annotations

import csv
import os
import re

import numpy as np

from tf_micle.evaluation.predictions import KEYS, Predictions
from tf_micle.system.input_error import InputError
from tf_micle.system.written_whole import written_whole

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def text_to_cell(text: str) -> str:
  """Keeps a spreadsheet from taking a text for a formula.

  Class names and metadata come from somebody's manifest, and a spreadsheet
  runs a cell such as =HYPERLINK(...) when the file is opened. An apostrophe
  in front makes it text there (OWASP, "CSV injection"); it goes before a
  leading apostrophe too, so that taking one away always gives the text back.
  Plain numbers such as -5 are harmless and stay as they are.
  """
  risky = text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "'"))
  return f"'{text}" if risky and not _NUMBER.fullmatch(text) else text


def _cell_to_text(cell: str) -> str:
  return cell[1:] if cell.startswith("'") else cell


def _columns(task: str, class_names: tuple[str, ...]) -> list[str]:
  """The columns that every file has; the prefixes keep names from colliding."""
  if task == "multi_class":
    labels = ["label"]
  else:
    labels = [f"label_{name}" for name in class_names]
  return [*KEYS, *labels, *(f"probability_{name}" for name in class_names)]


def write_csv(predictions: Predictions, path: str | os.PathLike) -> None:
  """Writes one line an item; a file that stands is replaced when complete.

  Columns: patient_id, bag_id, row; label (the class name, empty where
  unknown) or label_<finding> (1, 0, -1, empty); probability_<class>, with the
  digits that give the same float64 back; metadata_<column>. Texts that a
  spreadsheet would run as a formula begin with an apostrophe.
  """
  names = predictions.class_names
  header = _columns(predictions.task, names)
  header += [f"metadata_{column}" for column in predictions.metadata]
  with written_whole(path) as file:
    writer = csv.writer(file)
    writer.writerow(header)
    for i in range(len(predictions)):
      label = predictions.labels[i]
      if predictions.task == "multi_class":
        labels = [text_to_cell(names[label]) if label >= 0 else ""]
      else:
        labels = ["" if np.isnan(one) else str(int(one)) for one in label]
      keys = [str(getattr(predictions, name)[i]) for name in KEYS]
      metadata = [str(values[i]) for values in predictions.metadata.values()]
      writer.writerow(
        [text_to_cell(text) for text in keys]
        + labels
        + [repr(value) for value in predictions.probabilities[i].tolist()]
        + [text_to_cell(text) for text in metadata]
      )


def read_csv(
  path: str | os.PathLike,
  *,
  task: str,
  class_names: tuple[str, ...],
  unit: str,
) -> Predictions:
  """Reads what `write_csv` wrote.

  Args:
    path: the file.
    task: "multi_class" or "multi_label".
    class_names: the C class names, in the order of the probabilities.
    unit: "image", "bag" or "patient".

  Raises:
    InputError: columns are missing, or a line does not fit them.
    OSError: the file cannot be read.
  """
  path, class_names = os.fspath(path), tuple(class_names)
  with open(path, newline="", encoding="utf-8") as file:
    # strict: a quote that is never closed is an error, not a long cell.
    try:
      lines = list(csv.reader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
      raise InputError(
        f"Expected a whole CSV file. Received: {path}, {error}."
      ) from error
  header = lines[0] if lines else []
  fixed = _columns(task, class_names)
  extra = header[len(fixed) :]
  if header[: len(fixed)] != fixed or not all(
    name.startswith("metadata_") for name in extra
  ):
    raise InputError(
      f"{path}: expected the columns {fixed}, then metadata_<column>. "
      f"Received: {header}. It was written for other classes or another task, "
      "or it is no predictions file."
    )
  items = [
    _read_line(line, header, task, class_names, f"{path}, record {number}")
    for number, line in enumerate(lines[1:], start=2)
  ]
  keys, labels, probabilities, metadata = zip(*items) if items else ([],) * 4
  classes = len(class_names)
  one_label = task == "multi_class"
  try:
    return Predictions(
      task,
      class_names,
      unit,
      *np.array(keys, str).reshape(-1, len(KEYS)).T,
      labels=np.reshape(labels, -1 if one_label else (-1, classes)),
      probabilities=np.reshape(probabilities, (-1, classes)),
      metadata={
        name[len("metadata_") :]: np.array([line[i] for line in metadata], str)
        for i, name in enumerate(extra)
      },
    )
  except ValueError as error:
    raise InputError(f"{path}: {error}") from error


def _read_line(line, header, task, class_names, where):
  """One line: three keys, label(s), C probabilities, metadata texts."""
  if len(line) != len(header):
    raise InputError(
      f"{where}: expected {len(header)} cells. Received: {len(line)}."
    )
  first = len(header) - sum(name.startswith("metadata_") for name in header)
  first_probability = first - len(class_names)
  cells = line[len(KEYS) : first_probability]
  try:
    if task == "multi_class":
      name = _cell_to_text(cells[0])
      labels = class_names.index(name) if name else -1
    else:
      labels = [float(cell) if cell else np.nan for cell in cells]
    probabilities = [float(cell) for cell in line[first_probability:first]]
  except ValueError as error:
    raise InputError(
      f"{where}: expected a label of {class_names} or nothing, findings of 1, "
      f"0, -1 or nothing, and numbers for probabilities. Received: {line}."
    ) from error
  keys = [_cell_to_text(cell) for cell in line[: len(KEYS)]]
  metadata = [_cell_to_text(cell) for cell in line[first:]]
  return keys, labels, probabilities, metadata
