"""Description of a folder of bag TFRecords, `dataset.json`.

It is written last, so a folder without it is not a data set.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data.problems import DataError
from data.records.cohort import SplitCohort

FILE_NAME = "dataset.json"
PATIENTS_FILE_NAME = "patients.csv"
FORMAT_VERSION = 2
TASKS = ("multi_class", "multi_label", "unlabelled")


class DatasetError(DataError):
  """A folder that is not a complete data set, or a split it does not have."""


@dataclasses.dataclass(frozen=True)
class SplitDescription:
  """What one split holds.

  Attributes:
    patients: number of patients.
    bags: number of bags, one record each.
    images: number of images.
    labelled_images: images with a class, or with any finding stated.
    label_counts: multi_class: images of each class, by class name.
      multi_label: for each finding its images by value, {"1": positive,
      "0": negative, "-1": uncertain, "missing": not stated}. Else empty.
    bag_sizes: number of bags of each size, {images in the bag: bags}.
    shards: number of files.
    shard_bytes: length of each file.
    shard_bags: number of bags in each file; () where it was not written down.
    shard_images: number of images in each file; as `shard_bags`.
    patient_digest: SHA-256, hexadecimal, over the sorted pseudonyms of the
      patients, each followed by a newline.
    cohort: who it is of; None where it was not written down.
  """

  patients: int
  bags: int
  images: int
  labelled_images: int
  label_counts: Mapping[str, int | Mapping[str, int]]
  bag_sizes: Mapping[int, int]
  shards: int
  shard_bytes: tuple[int, ...]
  patient_digest: str
  shard_bags: tuple[int, ...] = ()
  shard_images: tuple[int, ...] = ()
  cohort: SplitCohort | None = None


@dataclasses.dataclass(frozen=True)
class ImageSizes:
  """Smallest and largest width and height of the stored images, in pixels."""

  min_width: int
  max_width: int
  min_height: int
  max_height: int


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
  """What a folder of bag TFRecords holds.

  Attributes:
    name: first part of the names of its files.
    task: 'multi_class', 'multi_label' or 'unlabelled'.
    class_names: classes or findings in the order of their numbers, or ().
    splits: what each split holds, by name.
    image_sizes: range of the sizes of all images.
    metadata: columns that are kept of each image, with their values.
    key_id: tells the key of the pseudonyms.
    options: how the data set was built; holds no path.
    format_version: of the records and of this file.
  """

  name: str
  task: str
  class_names: tuple[str, ...]
  splits: Mapping[str, SplitDescription]
  image_sizes: ImageSizes
  metadata: Mapping[str, tuple[str, ...]]
  key_id: str
  options: Mapping[str, Any]
  format_version: int = FORMAT_VERSION


def shard_name(name: str, split: str, shard: int, shards: int) -> str:
  """Returns the file name of one shard, as TFDS expects it."""
  return f"{name}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def patient_digest(pseudonyms: Iterable[str]) -> str:
  """Returns a digest that tells one set of patients from another."""
  lines = "".join(f"{pseudonym}\n" for pseudonym in sorted(pseudonyms))
  return hashlib.sha256(lines.encode()).hexdigest()


def to_json(description: DatasetDescription) -> str:
  """Returns the text of `dataset.json`."""
  content = dataclasses.asdict(description)
  for split in content["splits"].values():
    for name in ("shard_bags", "shard_images", "cohort"):
      if not split[name]:  # As it was written before these counts were.
        del split[name]
  return json.dumps(content, indent=2) + "\n"


def save(description: DatasetDescription, data_dir: str | os.PathLike) -> None:
  """Writes `dataset.json`."""
  (Path(data_dir) / FILE_NAME).write_text(to_json(description), "utf-8")


def load(data_dir: str | os.PathLike) -> DatasetDescription:
  """Reads `dataset.json` and checks that all shards are there.

  Args:
    data_dir: a folder that `data.build_tfrecords` wrote.

  Raises:
    DatasetError: no such folder, no or a damaged `dataset.json`, an unknown
      version, or shards that are missing or cut short.
  """
  folder = Path(data_dir)
  if not folder.is_dir():
    raise DatasetError(
      "Expected a folder of bag TFRecords. Received: "
      f"{str(folder)!r}, which is not a folder."
    )
  path = folder / FILE_NAME
  try:
    content = json.loads(path.read_text(encoding="utf-8"))
  except FileNotFoundError as error:
    raise DatasetError(
      f"Expected {FILE_NAME} in {str(folder)!r}. Received: a folder without "
      "it: it is not a data set, or its build did not finish. Build one with "
      "python -m data.build_tfrecords."
    ) from error
  except OSError as error:
    raise DatasetError(
      f"Expected to read {str(path)!r}. Received: {error.strerror}."
    ) from error
  except ValueError as error:
    raise _damaged(path, f"what is not JSON ({error})") from error
  description = _from_json(content, path)
  _check_shards(description, folder)
  return description


def shard_paths(
  data_dir: str | os.PathLike,
  split: str,
  description: DatasetDescription | None = None,
) -> list[Path]:
  """Returns the files of a split in order.

  Args:
    data_dir: as in `load`.
    split: its name.
    description: what `load` returned, where it is known already.

  Raises:
    DatasetError: as `load`, or the data set has no such split.
  """
  description = description or load(data_dir)
  if split not in description.splits:
    names = ", ".join(repr(name) for name in description.splits)
    raise DatasetError(
      f"Expected a split of {str(data_dir)!r}: {names}. Received: {split!r}."
    )
  return _paths(description, Path(data_dir), split)


def save_patients(
  patients: Mapping[str, Iterable[str]], data_dir: str | os.PathLike
) -> None:
  """Writes `patients.csv`: the pseudonyms of each split's patients."""
  path = Path(data_dir) / PATIENTS_FILE_NAME
  with open(path, "w", encoding="utf-8", newline="") as file:
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(("split", "patient_id"))
    for split, pseudonyms in patients.items():
      rows.writerows((split, pseudonym) for pseudonym in sorted(pseudonyms))


def load_patients(
  data_dir: str | os.PathLike, split: str, description: DatasetDescription
) -> tuple[str, ...]:
  """Returns the pseudonyms of a split's patients, sorted.

  Raises:
    DatasetError: `patients.csv` is missing, or is not that of the split.
  """
  path = Path(data_dir) / PATIENTS_FILE_NAME
  try:
    with open(path, encoding="utf-8", newline="") as file:
      rows = csv.DictReader(file)
      found = tuple(r["patient_id"] or "" for r in rows if r["split"] == split)
  except FileNotFoundError as error:
    raise DatasetError(
      f"Expected {PATIENTS_FILE_NAME} in {str(data_dir)!r}, by which training "
      "and test patients are kept apart. Received: a folder without it. Copy "
      "it, too, or build the data set again."
    ) from error
  except (OSError, KeyError, ValueError, csv.Error) as error:
    raise _damaged(path, f"{error!r}") from error
  if patient_digest(found) != description.splits[split].patient_digest:
    raise _damaged(path, f"other patients of {split!r} than {FILE_NAME} tells")
  return found


def _paths(
  description: DatasetDescription, folder: Path, split: str
) -> list[Path]:
  shards = description.splits[split].shards
  return [
    folder / shard_name(description.name, split, shard, shards)
    for shard in range(shards)
  ]


def _from_json(content: Any, path: Path) -> DatasetDescription:
  if not isinstance(content, dict):
    raise _damaged(path, "JSON that is not an object")
  version = content.get("format_version")
  if version != FORMAT_VERSION:
    advice = "build the data set anew with this version of the code"
    if isinstance(version, int) and version > FORMAT_VERSION:
      advice = "a newer version of the code wrote it, so update the code"
    raise DatasetError(
      f"Expected format_version {FORMAT_VERSION} in {str(path)!r}. Received: "
      f"{version!r}: {advice}."
    )
  try:
    splits = {
      name: SplitDescription(
        **{
          **split,
          "bag_sizes": {int(m): n for m, n in split["bag_sizes"].items()},
          "shard_bytes": tuple(split["shard_bytes"]),
          "shard_bags": tuple(split.get("shard_bags", ())),
          "shard_images": tuple(split.get("shard_images", ())),
          "cohort": SplitCohort.read(split.get("cohort")),
        }
      )
      for name, split in content["splits"].items()
    }
    description = DatasetDescription(
      **{
        **content,
        "class_names": tuple(content["class_names"]),
        "splits": splits,
        "image_sizes": ImageSizes(**content["image_sizes"]),
        "metadata": {k: tuple(v) for k, v in content["metadata"].items()},
      }
    )
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    raise _damaged(path, f"an unknown layout ({error!r})") from error
  if description.task not in TASKS:
    raise _damaged(path, f"task {description.task!r}")
  return description


def _check_shards(description: DatasetDescription, folder: Path) -> None:
  faults = []
  for split, expected in description.splits.items():
    paths = _paths(description, folder, split)
    for path, length in zip(paths, expected.shard_bytes):
      if not path.is_file():
        faults.append(f"{path.name} is missing")
      elif (found := path.stat().st_size) != length:
        faults.append(f"{path.name} has {found} of {length} bytes")
  if faults:
    more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
    raise DatasetError(
      f"Expected all shards in {str(folder)!r}. Received: "
      f"{'; '.join(faults[:5])}{more}. Copy or build the data set again."
    )


def _damaged(path: Path, received: str) -> DatasetError:
  return DatasetError(
    f"Expected {str(path)!r} as data.build_tfrecords writes it. Received: "
    f"{received}. Build the data set again."
  )
