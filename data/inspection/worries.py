"""Worries about a data set, most severe first."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from data.inspection import differences, tables
from data.inspection.measured import Measured
from data.problems import counted

LEVELS = ("severe", "serious", "to know")
_SEVERE, _SERIOUS, _TO_KNOW = range(3)
_CONSTANT = 2
_FEW_PATIENTS = 10
_ODD = 0.05
_SITE = re.compile(
  "site|hospital|cent(er|re)|institut|clinic|scanner|device|camera|vendor|"
  "manufacturer",
  re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Worry:
  """Something that may spoil a study.

  Attributes:
    level: place in `LEVELS`.
    text: what it is, and what to do about it.
    rows: texts that name the rows of the manifest, those that belong together
      in one.
    images: places, in `Measured`, of the images that it is about.
  """

  level: int
  text: str
  rows: tuple[str, ...] = ()
  images: tuple[int, ...] = ()


def worries(m: Measured, groups: np.ndarray) -> list[Worry]:
  """Finds what to worry about.

  Args:
    m: the data set.
    groups: what `near_duplicates.groups` returned.
  """
  parts = _damage, _labels, _constant, _several_labels, _shifts, _shapes
  found = [*_duplicates(m, groups), *(w for part in parts for w in part(m))]
  return sorted(found, key=lambda worry: worry.level)


def _damage(m) -> Iterator[Worry]:
  if m.damage:
    lost = counted(len(m.damage), "record or image")
    yield Worry(
      _SEVERE,
      f"{lost} cannot be read, and nothing here counts it. Copy or build the "
      "data set again.",
      tuple(m.damage),
    )


def _duplicates(m, groups) -> Iterator[Worry]:
  images = m.images.assign(group=groups)[m.images["span"] > _CONSTANT]
  kinds = images.groupby("group").agg(
    images=("row", "size"),
    splits=("split", "nunique"),
    own=("patient", "nunique"),
  )
  kinds = kinds[kinds["images"] > 1]
  for level, chosen, what in (
    (
      _SEVERE,
      kinds["splits"] > 1,
      "in several splits: what is tested has been trained on. Put their "
      "patients in one split, or leave out all but one of the images.",
    ),
    (
      _SERIOUS,
      (kinds["splits"] == 1) & (kinds["own"] > 1),
      "under several patients of one split. If that is one patient with two "
      "ids, the others' splits are in doubt, too.",
    ),
    (
      _TO_KNOW,
      kinds["own"] == 1,
      "of one patient, as neighbouring slices may be: a pair of them teaches "
      "MICLe little.",
    ),
  ):
    own = images[images["group"].isin(kinds.index[chosen])]
    if len(own):
      text = f"{counted(int(chosen.sum()), 'group')} of near-duplicates {what}"
      yield _of_groups(m, level, text, own.groupby("group").groups.values())


def _labels(m) -> Iterator[Worry]:
  names = m.description.class_names
  positive = pd.DataFrame(m.findings == 1, columns=list(names))
  for split, own in positive.groupby(m.images["split"]) if names else ():
    if not (m.findings[own.index] >= 0).any():
      yield Worry(
        _SEVERE,
        f"Split {split!r} has no label: it can be pretrained on, not "
        "fine-tuned on or evaluated on.",
      )
    elif lacks := [name for name in names if not own[name].any()]:
      yield Worry(
        _SERIOUS,
        f"Split {split!r} has no image of {', '.join(lacks)}: nothing can be "
        "learnt or said of it there.",
      )


def _constant(m) -> Iterator[Worry]:
  flat = np.flatnonzero(m.images["span"] <= _CONSTANT)
  if len(flat):
    yield _of_groups(
      m,
      _SERIOUS,
      f"{counted(len(flat), 'image')} of a single grey level: a failed export, "
      "or a wrong window. Leave it out of the manifest, or export it again.",
      flat[:, None],
    )


def _several_labels(m) -> Iterator[Worry]:
  own = m.images[tables.several_labels(m)]
  parts = list(own.groupby("bag").groups.values())
  if parts:
    bags = counted(m.images["bag"].nunique(), "bag")
    yield _of_groups(
      m,
      _SERIOUS,
      f"{len(parts):,} of {bags} with images of several labels: MICLe takes "
      "them for one thing, and --unit=bag leaves them out. Is a label wrong, "
      "or should a bag be a study or a lesion (--bag_column)?",
      parts,
    )


def _shifts(m) -> Iterator[Worry]:
  """Differences between splits and between sites that chance hardly makes."""
  split, patient = m.images["split"], m.images["patient"]
  sites = {c: v for c, v in m.metadata.items() if _SITE.search(c)}
  label = {"label": m.labels} if m.labels.ndim == 1 else {}
  for name, groups in {"split": split, **sites}.items():
    for group, size in _largest(
      differences.of_means(m.images["mean"], groups, patient)
    ):
      yield Worry(
        _SERIOUS,
        f"Images of {name} {group!r} are {'brighter' if size > 0 else 'darker'}"
        f" than all others, by {abs(size):.1f} standard deviations of the "
        "patients' means: a network can tell them apart by that alone. Were "
        "they exported alike?",
      )
    mixed = {**label, **m.metadata} if name == "split" else label
    for column, values in mixed.items():
      for group, size in _largest(
        differences.of_shares(values, groups, patient)
      ):
        yield Worry(
          _SERIOUS,
          f"Patients of {name} {group!r} have another mix of {column} than all "
          f"others: {size:.0%} of them would have to change.",
        )


def _largest(found):
  """Returns the largest difference, in a list; it makes others look one."""
  return sorted(found, key=lambda one: -abs(one[1]))[:1]


def _shapes(m) -> Iterator[Worry]:
  sizes = m.images["bag"].value_counts()
  if (sizes == 1).mean() > 0.5:
    yield Worry(
      _TO_KNOW,
      f"{(sizes == 1).mean():.0%} of the bags hold one image: MICLe pairs two "
      "views of it, as SimCLR does.",
    )
  patients = m.images.groupby("split")["patient"].nunique()
  for split, number in patients[patients < _FEW_PATIENTS].items():
    yield Worry(
      _TO_KNOW,
      f"Split {split!r} has {counted(number, 'patient')}: what is measured on "
      "it has wide intervals.",
    )
  colour = m.images["colour"]
  if 0 < min(colour.mean(), 1 - colour.mean()) < _ODD:
    odd = np.flatnonzero(colour == (colour.mean() < 0.5))
    kind = "in colour, of grey" if colour.mean() < 0.5 else "grey, of coloured"
    text = f"{counted(len(odd), 'image')} {kind} ones: of another kind?"
    yield _of_groups(m, _TO_KNOW, text, odd[:, None])


def _of_groups(m, level, text, groups):
  """Returns a worry about groups of images, each a list of places."""
  groups = [[int(k) for k in group] for group in groups]
  row, split = m.images["row"], m.images["split"]
  rows = [" = ".join(f"row {row[k]} ({split[k]})" for k in g) for g in groups]
  return Worry(level, text, tuple(rows), tuple(k for g in groups for k in g))
