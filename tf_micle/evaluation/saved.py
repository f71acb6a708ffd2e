"""An evaluation's files: metrics.json and predictions.csv."""

from __future__ import annotations

import json
import os

from tf_micle.evaluation.predictions import Predictions
from tf_micle.evaluation.predictions_csv import read_csv, write_csv
from tf_micle.system.input_error import InputError
from tf_micle.system.plurals import counted
from tf_micle.system.written_whole import write_json

# 1: without "calibration", "decisions" and "by_patient"; it did not say so.
FORMAT_VERSION = 2
_METRICS, _PREDICTIONS = "metrics.json", "predictions.csv"


def save(
  result: dict, predictions: Predictions, folder: str | os.PathLike
) -> None:
  """Writes predictions.csv, then metrics.json: where this is, all is whole.

  Args:
    result: what `evaluate.evaluate` gave for `predictions`.
    predictions: of one model on one split.
    folder: made if absent.
  """
  os.makedirs(folder, exist_ok=True)
  summary_path = os.path.join(folder, _METRICS)
  # An older one would speak of predictions that are no longer there.
  if os.path.exists(summary_path):
    os.remove(summary_path)
  write_csv(predictions, os.path.join(folder, _PREDICTIONS))
  write_json(summary_path, {"format_version": FORMAT_VERSION, **result})


def load(folder: str | os.PathLike) -> tuple[dict, Predictions]:
  """What `save` wrote.

  Raises:
    InputError: the folder does not hold a whole evaluation.
  """
  folder = os.fspath(folder)
  try:
    with open(os.path.join(folder, _METRICS), encoding="utf-8") as file:
      result = json.load(file)
    version = result.pop("format_version", 1)
    if version > FORMAT_VERSION:
      raise ValueError(
        f"format_version {version}, which a newer version of this code wrote"
      )
    table = {k: result[k] for k in ("task", "class_names", "unit")}
    table["class_names"] = tuple(map(str, table["class_names"]))
    items = int(result[table["unit"]]["items"])
  except (
    AttributeError,
    OSError,
    KeyError,
    TypeError,
    ValueError,
  ) as error:
    raise _not_whole(folder, error) from error
  try:
    predictions = read_csv(os.path.join(folder, _PREDICTIONS), **table)
  except OSError as error:
    raise _not_whole(folder, error) from error
  if len(predictions) != items:
    raise InputError(
      f"Expected {counted(items, 'item')}, as {_METRICS} says. Received: "
      f"{len(predictions)} in {os.path.join(folder, _PREDICTIONS)}. One of the "
      "two is from another evaluation: run --mode=eval again."
    )
  return result, predictions


def _not_whole(folder, error):
  return InputError(
    f"Expected the folder of an evaluation, with {_METRICS} and "
    f"{_PREDICTIONS} as --mode=eval writes them. Received: {folder}, "
    f"{type(error).__name__}: {error}"
  )


def is_of(result: dict, digest: str) -> bool:
  """Whether an evaluation is of the split of this digest, or does not say."""
  return result.get("provenance", {}).get("data_digest", digest) == digest


def provenance_of(folder: str | os.PathLike) -> dict:
  """Where an earlier evaluation in a folder comes from; {} where none is."""
  try:
    with open(os.path.join(folder, _METRICS), encoding="utf-8") as file:
      return json.load(file)["provenance"]
  except (OSError, ValueError, KeyError):
    return {}
