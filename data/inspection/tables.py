"""Tables of a data set by split, as texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from data.inspection.measured import Measured

NOT_STATED = "not stated"
_BAG_SIZES = {"1": 1, "2": 2, "3-4": 4, "5-8": 8, "9-16": 16, "17-32": 32}


def tables(m: Measured) -> Iterator[tuple[str, pd.DataFrame]]:
  """Yields title and table of each."""
  images, split = m.images, m.images["split"]
  names = m.description.class_names
  known = (m.findings >= 0).any(axis=1)
  by_split = images.groupby("split")
  counts = by_split[["patient", "bag", "row"]].nunique()
  counts.columns = ["patients", "bags", "images"]
  counts["labelled images"] = pd.Series(known).groupby(split).sum()
  yield "Patients, bags, images", _texts(counts)

  sizes = images.groupby(["split", "bag"]).size().reset_index(name="images")
  edges = [0, *_BAG_SIZES.values(), np.inf]
  binned = pd.cut(sizes["images"], edges, labels=[*_BAG_SIZES, "33 and more"])
  yield "Bags by their images", _texts(pd.crosstab(binned, sizes["split"]))

  if m.labels.ndim > 1:
    yield "Images with each finding", _findings(m)
  elif names:
    texts = np.array([*names, "unlabelled"], object)[m.labels]
    order = [name for name in (*names, "unlabelled") if name in texts]
    yield "Images by label", _shares(texts, split).loc[order]
  if names:
    bags = images.assign(several=several_labels(m))[known]
    bags = bags.drop_duplicates("bag")
    kinds = bags["several"].map({False: "one label", True: "several labels"})
    table = _texts(pd.crosstab(kinds, bags["split"]))
    yield "Labelled bags by whether their images agree", table
  for column, texts in m.metadata.items():
    table = _shares(texts.replace("", NOT_STATED), split)
    yield f"Images by {column}", table

  sizes = by_split[["width", "height"]].agg(["min", "median", "max"])
  sizes.columns = [" ".join(reversed(name)) for name in sizes.columns]
  sizes = _texts(sizes)
  sizes["in colour"] = by_split["colour"].mean().map("{:.1%}".format)
  yield "Sizes in pixels", sizes
  for column, values in {"split": split, **m.metadata}.items():
    yield f"Grey levels by {column}", _grey_levels(m, values)


def several_labels(m: Measured) -> np.ndarray:
  """Returns of each image whether its bag has labels that differ, bool (n,)."""
  known = pd.DataFrame(np.where(m.findings >= 0, m.findings, np.nan))
  differ = known.groupby(m.images["bag"]).nunique().max(axis=1) > 1
  return m.images["bag"].map(differ).to_numpy()


def _findings(m):
  found = {}
  for name, values in zip(m.description.class_names, m.labels.T):
    cells = {}
    for split, own in pd.Series(values).groupby(m.images["split"]):
      known, positive = (own >= 0).sum(), (own == 1).sum()
      part = f"{positive:,} of {known:,} ({positive / max(known, 1):.1%})"
      cells[split] = f"{part}, {(own == -1).sum():,} uncertain"
    found[name] = cells
  return pd.DataFrame(found).T


def _shares(values, split):
  values = pd.Series(np.asarray(values), split.index)
  counts = pd.crosstab(values, split)
  shares = counts / counts.sum()
  return _texts(counts) + shares.map(" ({:.1%})".format)


def _grey_levels(m, values):
  groups = m.images["mean"].groupby(values.replace("", NOT_STATED))
  levels = pd.DataFrame({"images": groups.size()})
  for name, at in {"5%": 0.05, "median": 0.5, "95%": 0.95}.items():
    levels[f"{name} of means"] = groups.quantile(at)
  return _texts(levels)


def _texts(numbers):
  return numbers.map("{:,.0f}".format)
