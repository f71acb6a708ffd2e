"""Section of the cohort: who the patients are, a paper's first table."""

from __future__ import annotations

import json

import numpy as np

from tf_micle.report import tables
from tf_micle.report.blocks import Cell, Heading, Section, Table, Text

# More values than this are no groups of people.
_MOST_VALUES = 20
_BY_SPLIT = "All splits of the data set; scored here: {}."
_BY_PATIENT = (
  " Labels and metadata count patients, each in every row that any of their "
  "images is of; shares are of the split’s patients."
)
_COMPARED = " “Compared” are the splits of the other data set."
_IMAGES_ONLY = (
  " An earlier version built these records: labels are counted in images."
)
_NOTHING = Cell("not known", undefined=True)


def section(basis):
  """Returns the `Section`."""
  blocks, cohort = [], basis.result.get("cohort")
  known = False
  if cohort:
    splits = dict(cohort["splits"])
    compared = cohort.get("compared", {})
    # Two splits of one data set are both among these already.
    if compared == json.loads(json.dumps(splits)):
      compared = {}
    splits |= {f"compared: {name}": one for name, one in compared.items()}
    known = all(one["cohort"] for one in splits.values())
    words = _BY_SPLIT.format(", ".join(cohort["scored"]))
    words += _BY_PATIENT if known else _IMAGES_ONLY
    words += _COMPARED * bool(compared)
    blocks += [Text(words), _by_split(splits)]
  if not known:
    blocks += [Heading("In this split, by patient"), _people(basis)]
  return Section("cohort", "Cohort", "Cohort", blocks + _size(basis))


def _by_split(named):
  """A paper's first table, as the builder counted it."""
  splits = list(named.values())
  rows = {
    "Patients": [f"{one['patients']:,}" for one in splits],
    "Bags": [f"{one['bags']:,}" for one in splits],
    "Images": [f"{one['images']:,}" for one in splits],
    "Images a bag, median (range)": [_sizes(one) for one in splits],
    "Labelled images": [
      _share(one["labelled_images"], one["images"]) for one in splits
    ],
  }
  names = (name for one in splits for name in one["label_counts"])
  for name in dict.fromkeys(names):
    rows[f"Label: {name}"] = [_labelled(one, name) for one in splits]
  if all(one["cohort"] for one in splits):
    found = [one["cohort"]["metadata_patients"] for one in splits]
    for column in dict.fromkeys(name for one in found for name in one):
      values = sorted({v for one in found for v in one.get(column, ())})
      for value in values if len(values) <= _MOST_VALUES else ():
        rows[f"{column}: {value or '(not stated)'}"] = [
          _share(own[column].get(value, 0), one["patients"])
          if column in own
          else _NOTHING
          for own, one in zip(found, splits)
        ]
    rows["Rows of the manifest"] = [
      f"{one['cohort']['rows']:,}" for one in splits
    ]
    rows["Rejected rows"] = [
      f"{sum(one['cohort']['rejected'].values()):,}" for one in splits
    ]
  lines = [[name, *cells] for name, cells in rows.items()]
  return Table("Cohort, by split", ["", *named], lines)


def _sizes(split):
  sizes = {int(size): bags for size, bags in split["bag_sizes"].items()}
  each = np.repeat(list(sizes), list(sizes.values()))
  return f"{np.median(each):g} ({each.min()} to {each.max()})"


def _labelled(split, name):
  """Patients with the label, and images."""
  count, more = split["label_counts"].get(name), ""
  if count is None:
    return _NOTHING
  if not isinstance(count, int):
    more = f" of {count['1'] + count['0']:,}, {count['-1']:,} uncertain"
    count = count["1"]
  images = f"{count:,}{more}"
  if not split["cohort"]:
    return Cell(images, "images")
  patients = split["cohort"]["label_patients"][name]
  share = tables.percent(round(patients / split["patients"], 3))
  return Cell(f"{patients:,}", share, f"images: {images}")


def _people(basis):
  """The same of the patients of this split, from what was scored."""
  at, items = basis.at["patient"], basis.predictions
  total = len(at)
  _, sizes = np.unique(items.patient_id, return_counts=True)
  each = f"{np.median(sizes):g} ({sizes.min()} to {sizes.max()})"
  rows = [
    ["Patients", f"{total:,}"],
    [f"{basis.unit.capitalize()}s a patient, median (range)", each],
  ]
  for name, has, known in zip(basis.names, at.positive.T, at.stated.T):
    rows.append([name, _share(has.sum(), known.sum())])
  for column, values in at.metadata.items():
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= _MOST_VALUES:
      rows += [
        [f"{column}: {value or '(not stated)'}", _share(count, total)]
        for value, count in zip(found.tolist(), counts)
      ]
  return Table("Cohort, by patient", ["", "Patients"], rows)


def _share(count, whole):
  share = tables.percent(round(count / whole, 3)) if whole else "-"
  return Cell(f"{count:,}", f"of {whole:,}, {share}")


def _size(basis):
  """How many patients would halve the main interval, if it has a width."""
  part = basis.result["patient"]
  entry = part["mean_auroc"]
  if entry["low"] is None or entry["high"] <= entry["low"]:
    return []
  return [
    Text(
      f"The interval of the mean AUROC per patient is "
      f"{tables.number(entry['high'] - entry['low'])} wide with "
      f"{part['labelled']:,} labelled patients. Widths go with the root of the "
      f"number: about {4 * part['labelled']:,} patients of the same kind would "
      "halve it."
    )
  ]
