"""Data of a study: what its file needs of them."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

from flags import reader


def digest_of(folder):
  """Returns the digest of a folder's dataset.json; "" where there is none."""
  path = pathlib.Path(folder or "", "dataset.json")
  if not (folder and path.is_file()):
    return ""
  return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclasses.dataclass(frozen=True)
class StudyData:
  """What a study's file says of its data.

  Attributes:
    data_dir: folder of bag TFRecords, or None.
    demo: whether it is of the built-in demo.
    datasets: `--dataset` of pretraining and of fine-tuning.
    splits: those to train on and to pick by, without folds.
    folds: names of splits, or none.
  """

  data_dir: str | None
  demo: bool
  datasets: tuple[str | None, str | None]
  splits: list[str]
  folds: tuple[str, ...]

  def digest(self):
    """Returns a digest of the data's description; of the demo, its recipes."""
    if not self.demo:
      return (
        digest_of(self.data_dir) or f"demo False, dataset {self.datasets[0]}"
      )
    recipes = sorted(pathlib.Path(reader.RECIPES).glob("demo*.flags"))
    texts = b"".join(recipe.read_bytes() for recipe in recipes)
    return hashlib.sha256(texts).hexdigest()

  def problems(self, sets, describe):
    """Yields a line for what is not there, or does not go together.

    Args:
      sets: dicts of the evaluation sets.
      describe: from a folder to its `dataset_json.DatasetDescription`.
    """
    first, second = self.datasets
    if first != second:
      yield (
        "Expected one --dataset to pretrain and to fine-tune on, in [study]. "
        f"Received: {first} and {second}"
      )
    ways = [self.data_dir, self.demo, first]
    if sum(map(bool, ways)) != 1:
      yield (
        "Expected --data_dir, or one of data_dir, demo = yes, and --dataset in "
        f"[study]. Received: {'several' if any(ways) else 'none'}"
      )
    if self.folds and not len(set(self.folds)) == len(self.folds) > 2:
      yield (
        "Expected three different folds or more: to train, to validate, to "
        f"test. Received: {', '.join(self.folds)}"
      )
    for one in sets:
      if not one["data_dir"] and one["split"] in self.splits:
        yield (
          f"Expected {one['name']} in [evaluate] to be of a split that no run "
          f"is trained on or picked by. Received: {one['split']}"
        )
    wanted = {self.data_dir: list(self.folds or self.splits)}
    for one in sets:
      folder = one["data_dir"] or self.data_dir
      wanted.setdefault(folder, []).extend(filter(None, [one["split"]]))
    for folder in filter(None, wanted):
      try:
        described = describe(folder)
      except ValueError as error:  # DataError is one.
        yield str(error)
        continue
      missing = [
        name for name in wanted[folder] if name not in described.splits
      ]
      if missing:
        folds = " (or are they folds = ... in [study]?)" * (not self.folds)
        yield (
          f"Expected splits of {folder}: {', '.join(described.splits)}. "
          f"Received: {', '.join(dict.fromkeys(missing))}{folds}"
        )
