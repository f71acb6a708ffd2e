"""Report of a build: notes, counts, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.builder.options import BuildOptions
from data.manifest import pseudonyms
from data.manifest.manifest import Manifest
from data.problems import counted, first_rows
from data.records.dataset_json import DatasetDescription, SplitDescription

_CLASSES_SHOWN = 12
_SIZES_SHOWN = 10
# What is measured on fewer patients says little.
_ENOUGH_TO_MEASURE = 10
_MORE_PATIENTS = (
  "More patients, or a larger share in --split_fractions, would help."
)

# --train_batch_size and --eval_split of run.py.
_DEFAULT_BATCH, _PROBED = 512, "validation"
_LIKE_VALIDATION = ("val", "dev")


@dataclass(frozen=True)
class BuildResult:
  """A finished build.

  Attributes:
    output_dir: the folder written.
    description: what it holds.
    rejected: images left out.
    key_path: where the key of the pseudonyms is.
    notes: what the user should know.
  """

  output_dir: Path
  description: DatasetDescription
  rejected: int
  key_path: Path
  notes: tuple[str, ...]


def notes_before(options: BuildOptions, manifest: Manifest) -> list[str]:
  """Returns what the user should know of a build that is about to begin."""
  notes = [*manifest.numbering, *manifest.notes]
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
    rows = first_rows(sorted(repeated))
    equal = "image equals" if len(repeated) == 1 else "images equal"
    yield (
      f"{len(repeated):,} {equal} one of another row to the bit: row {rows}. "
      "Under two patients, one image may be in two splits."
    )
  sizes = {m for s in description.splits.values() for m in s.bag_sizes}
  if sizes == {1}:
    yield (
      "Every bag holds one image: there are no distinct images to pair, so "
      "MICLe is SimCLR on this data set."
    )
  if description.task == "multi_class" and len(description.class_names) == 1:
    yield (
      f"All labels are of one class, {description.class_names[0]!r}: there is "
      "nothing that fine-tuning could tell apart."
    )
  if description.options["splits"] == "drawn":
    yield from _notes_of_drawn(description)
  train = description.splits.get("train")
  if train is None:
    if set(description.splits) != {"test"}:
      yield "There is no split named 'train': pass --train_split to run.py."
    return
  for split, content in description.splits.items():
    unseen = _lacking(description, train, content)
    if unseen and train.labelled_images:
      yield f"Labels in {split!r} that no image of 'train' has: {unseen}."


def _notes_of_drawn(description: DatasetDescription) -> Iterator[str]:
  """Yields for which drawn splits no figure, or none that holds, can be had."""
  for name, split in description.splits.items():
    if name == "train":
      continue
    if split.patients < _ENOUGH_TO_MEASURE:
      yield (
        f"The drawn split {name!r} has {counted(split.patients, 'patient')}: "
        f"what is measured on fewer than {_ENOUGH_TO_MEASURE} says little. "
        f"{_MORE_PATIENTS}"
      )
    missing = _lacking(description, split, *description.splits.values())
    if missing:
      yield (
        f"The drawn split {name!r} has no image of {missing}: nothing can be "
        f"measured of that there. {_MORE_PATIENTS}"
      )


def _lacking(
  description: DatasetDescription,
  split: SplitDescription,
  *others: SplitDescription,
) -> str:
  """Returns the names of which others have images, and `split` none."""
  return ", ".join(
    repr(name)
    for name in description.class_names
    if not _positives(split, name)
    and any(_positives(other, name) for other in others)
  )


def summary(result: BuildResult) -> str:
  """Returns the lines printed at the end of a build."""
  description = result.description
  lines = [f"Wrote {str(result.output_dir)!r} ({description.task}):"]
  for name, split in description.splits.items():
    lines.append(
      f"  {name}: {counted(split.patients, 'patient')}, "
      f"{counted(split.bags, 'bag')}, {counted(split.images, 'image')}, "
      f"{split.labelled_images:,} labelled, {counted(split.shards, 'file')}"
    )
    lines.append(f"    images a bag: {_bag_sizes(split)}")
    if split.label_counts:
      lines.append(f"    labels: {_label_counts(split.label_counts)}")
  sizes = description.image_sizes
  lines.append(
    f"  image sizes: {sizes.min_width} to {sizes.max_width} wide, "
    f"{sizes.min_height} to {sizes.max_height} high"
  )
  if result.rejected:
    lines.append(
      f"  {counted(result.rejected, 'image')} rejected: rejected.csv has the "
      "manifest rows and reasons"
    )
  lines += [f"Note: {note}" for note in result.notes]
  lines += [
    f"Key of the pseudonyms: {shlex.quote(str(result.key_path))}",
    "  Keep it, and never share it. Give it to later builds by --id_key_file:",
    "  patients then have the same pseudonyms, by which leakage is seen.",
    "Next:",
    f"  {_next_command(description, result.output_dir)}",
  ]
  return "\n".join(lines)


def _next_command(description: DatasetDescription, output_dir: Path) -> str:
  """Returns a command that takes the data set, quoted for the shell."""
  data_dir = f"--data_dir={output_dir}"
  splits = description.splits
  if set(splits) == {"test"}:
    words = ["--mode=eval", data_dir, "--eval_split=test", "--model_dir=TUNED"]
  else:
    train = "train" if "train" in splits else next(iter(splits))
    words = ["--mode=pretrain", "--use_micle", data_dir]
    words += [f"--model_dir=runs/{description.name}"]
    words += [] if train == "train" else [f"--train_split={train}"]
    if description.task != "unlabelled" and _PROBED not in splits:
      words.append(_other_probe(splits, train))
    bags = splits[train].bags
    if 2 <= bags < _DEFAULT_BATCH:  # A split of fewer than a batch.
      words.append(f"--train_batch_size={2 ** (bags.bit_length() - 1)}")
  return shlex.join(["python", "run.py", *words])


def _other_probe(splits: Mapping[str, SplitDescription], train: str) -> str:
  """Returns the flag by which pretraining does not probe `_PROBED`."""
  names = (n for n in splits if n != train and n.startswith(_LIKE_VALIDATION))
  name = next(names, None)
  # Never the test split: what is looked at on the way is no test any more.
  return f"--eval_split={name}" if name else "--nolineareval_while_pretraining"


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
