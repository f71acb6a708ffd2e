"""What a build tells the user: notes, counts, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data.builder.options import BuildOptions
from data.manifest import pseudonyms
from data.manifest.manifest import Manifest
from data.records.dataset_json import DatasetDescription, SplitDescription

_CLASSES_SHOWN = 12
_SIZES_SHOWN = 10
_ROWS_SHOWN = 5

# --train_batch_size of run.py.
_DEFAULT_BATCH = 512


def notes_before(options: BuildOptions, manifest: Manifest) -> list[str]:
  """Returns what the user should know of a build that is about to begin."""
  notes = list(manifest.notes)
  if manifest.columns.split is None and not options.split_fractions:
    notes.append(
      "The manifest has no split column: patients were drawn to train=0.8, "
      "validation=0.1, test=0.1 (--split_fractions changes that)."
    )
  key_path = options.key_path
  if key_path.exists() and pseudonyms.others_may_read(key_path):
    notes.append(
      f"The key file {str(key_path)!r} can be read by others than its owner: "
      f"run chmod 600 {shlex.quote(str(key_path))}"
    )
  output = options.output_path
  for left in sorted(output.parent.glob(f"{output.name}.building-*")):
    notes.append(
      f"{str(left)!r} belongs to another build that runs, or was killed: "
      "remove it if none runs."
    )
  return notes


def notes_after(
  description: DatasetDescription, repeated: Sequence[int]
) -> Iterator[str]:
  """Yields what is unusual about a data set.

  Args:
    description: of it.
    repeated: rows of images that equal another one to the bit.
  """
  if repeated:
    rows = ", ".join(str(row) for row in sorted(repeated)[:_ROWS_SHOWN])
    more = ", ..." if len(repeated) > _ROWS_SHOWN else ""
    yield (
      f"{len(repeated):,} images equal one of another row to the bit: row "
      f"{rows}{more}. Under two patients, one image may be in two splits."
    )
  sizes = {m for s in description.splits.values() for m in s.bag_sizes}
  if sizes == {1}:
    yield (
      "Every bag holds one image: there are no distinct images to pair, so "
      "MICLe is SimCLR on this data set."
    )
  train = description.splits.get("train")
  if train is None:
    yield "There is no split named 'train': pass --train_split to run.py."
    return
  for split, content in description.splits.items():
    unseen = [
      name
      for name in description.class_names
      if _positives(content, name) and not _positives(train, name)
    ]
    if unseen and train.labelled_images:
      yield (
        f"Labels in {split!r} that no image of 'train' has: "
        f"{', '.join(unseen)}."
      )


def summary(
  description: DatasetDescription,
  output_dir: Path,
  key_path: Path,
  rejected: int,
  notes: tuple[str, ...],
) -> str:
  """Returns the lines printed at the end of a build."""
  lines = [f"Wrote {str(output_dir)!r} ({description.task}):"]
  for name, split in description.splits.items():
    lines.append(
      f"  {name}: {split.patients:,} patients, {split.bags:,} bags, "
      f"{split.images:,} images, {split.labelled_images:,} labelled, "
      f"{split.shards} files"
    )
    lines.append(f"    images a bag: {_bag_sizes(split)}")
    if split.label_counts:
      lines.append(f"    labels: {_label_counts(split.label_counts)}")
  sizes = description.image_sizes
  lines.append(
    f"  image sizes: {sizes.min_width} to {sizes.max_width} wide, "
    f"{sizes.min_height} to {sizes.max_height} high"
  )
  if rejected:
    lines.append(
      f"  {rejected:,} images rejected: rejected.csv has the manifest rows and "
      "reasons"
    )
  lines += [f"Note: {note}" for note in notes]
  lines += [
    f"Key of the pseudonyms: {key_path}",
    "  Keep it (a later build gives the same pseudonyms), and never share it.",
    "Next:",
    "  python run.py --mode=pretrain --use_micle "
    f"--data_dir={shlex.quote(str(output_dir))} "
    f"--model_dir=runs/{description.name}" + _batch_size(description),
  ]
  return "\n".join(lines)


def _batch_size(description: DatasetDescription) -> str:
  """Returns the flag that a split of fewer bags than a batch needs."""
  bags = next(iter(description.splits.values())).bags
  if "train" in description.splits:
    bags = description.splits["train"].bags
  if bags >= _DEFAULT_BATCH or bags < 2:
    return ""
  return f" --train_batch_size={2 ** (bags.bit_length() - 1)}"


def _positives(split: SplitDescription, name: str) -> int:
  count = split.label_counts[name]
  return count if isinstance(count, int) else count["1"]


def _bag_sizes(split: SplitDescription) -> str:
  """Returns '1: 40, 2: 17', many sizes in ranges that double: '3-4: 9'."""
  if len(split.bag_sizes) <= _SIZES_SHOWN:
    return ", ".join(f"{m}: {n:,}" for m, n in split.bag_sizes.items())
  ranges: dict[tuple[int, int], int] = {}
  for size, bags in split.bag_sizes.items():
    high = 1 << (size - 1).bit_length()
    low = high // 2 + 1 if high > 1 else 1
    ranges[low, high] = ranges.get((low, high), 0) + bags
  return ", ".join(
    f"{low}: {bags:,}" if low == high else f"{low}-{high}: {bags:,}"
    for (low, high), bags in sorted(ranges.items())
  )


def _label_counts(counts: Mapping) -> str:
  shown = []
  for name, count in list(counts.items())[:_CLASSES_SHOWN]:
    if isinstance(count, int):
      shown.append(f"{name} {count:,}")
    else:
      values = ", ".join(f"{value} {n:,}" for value, n in count.items())
      shown.append(f"{name} ({values})")
  if len(counts) > _CLASSES_SHOWN:
    shown.append(f"and {len(counts) - _CLASSES_SHOWN} more")
  return ", ".join(shown)
