"""Section of the summary: the main numbers in plain words."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation.evaluation_notes import FEW_PATIENTS
from tf_micle.evaluation.subgroups import FEWEST
from tf_micle.report import tables
from tf_micle.report.blocks import Section, Text
from tf_micle.system.plurals import counted

# More classes than this are for the tables.
_MOST = 6
# What calibration should be, and what less and more of it mean.
_OFF = {
  "intercept": (0, "too high on average", "too low on average"),
  "slope": (1, "too extreme", "not extreme enough"),
}


def section(basis):
  """Returns the `Section`."""
  result = basis.result
  of = result["patient"]
  asked = counted(result[basis.unit]["items"], basis.unit)
  texts = [
    f"The model was asked about {asked} of "
    f"{counted(of['patients'], 'patient')}. What follows is per patient."
  ]
  area = of["mean_auroc"]
  if area["value"] is not None:
    texts.append(
      f"Of a patient who has a {basis.kind} and one who has not, it gives the "
      f"first the higher probability in {_share(area)} of such pairs, averaged "
      f"over {basis.kinds}. Guessing would do so in 50%."
    )
  texts += _difference(basis)
  texts += _never(basis)
  texts += _decisions(basis)
  texts += _calibration(basis)
  blocks = [Text(text) for text in texts]
  return Section("summary", "In short", "In short", blocks, "prose")


def _difference(basis):
  """One number for a comparison, such as what another site costs."""
  entry = basis.result.get("difference", {}).get("patient", {})
  entry = entry.get("mean_auroc", {"low": None})
  if entry["low"] is None:
    return []
  value, low, high = (
    tables.number(entry[key], signed=True) for key in ("value", "low", "high")
  )
  return [
    f"Its mean AUROC minus that of {basis.facts.get('compared_with')} is "
    f"{value} (95% interval {low} to {high})."
  ]


def _decisions(basis):
  found = basis.result["patient"].get("decisions")
  if not found:
    return ["There are no thresholds that were fixed before these data came."]
  points = basis.result["operating_points"]
  rates = [
    (name, one)
    for name, one in found.items()
    if one["sensitivity"]["value"] is not None
  ]
  # Those of too few patients to judge go last.
  rates.sort(
    key=lambda of: (not basis.enough[of[0]], of[1]["sensitivity"]["value"])
  )
  lines = [
    f"What follows is with the thresholds chosen on {points['data']}, "
    f"{basis.kinds} that it finds least often first."
  ]
  for name, one in rates[:_MOST]:
    behind = points["reached"]["patient"][name]["positives"]
    few = counted(behind, "patient")
    lines.append(
      f"{name}: it finds {_counts(one['sensitivity'])} who have it, and "
      f"rightly leaves {_counts(one['specificity'])} who have not."
      + f" Its threshold was chosen on only {few} with it."
      * (behind < FEWEST)
    )
  if len(rates) > _MOST:
    more = counted(len(rates) - _MOST, basis.kind)
    lines.append(f"In the tables: {more} more.")
  return lines


def _never(basis):
  """Classes that are never the most probable one where they are true."""
  if basis.findings:
    return []
  of = basis.at["patient"]
  chosen = np.eye(len(basis.names), dtype=bool)[of.probabilities.argmax(axis=1)]
  right, has = (of.positive & chosen).sum(axis=0), of.positive.sum(axis=0)
  return [
    f"It holds {name} for the most probable class in none of the "
    f"{counted(count, 'patient')} who had it."
    for name, count, found in zip(basis.names, has.tolist(), right)
    if count and not found
  ]


def _calibration(basis):
  """Names the classes that are surely not calibrated, of enough patients."""
  if basis.result["patient"]["labelled"] < FEW_PATIENTS:
    return []
  lines = []
  for key, (right, below, above) in _OFF.items():
    found = {below: [], above: []}
    for name, one in basis.result["patient"]["calibration"].items():
      low, high = one[key]["low"], one[key]["high"]
      if low is not None and basis.enough[name] and not low <= right <= high:
        found[below if high < right else above].append(name)
    lines += [
      f"Its probabilities are {what} for {', '.join(names)} (calibration "
      f"{key})."
      for what, names in found.items()
      if names
    ]
  return lines


def _counts(entry):
  counts = f"{entry['numerator']:,} of {entry['denominator']:,}"
  if entry["value"] is None:
    return counts
  return f"{counts} ({_share(entry, '; 95% interval {}')})"


def _share(entry, interval=" (95% interval {})"):
  value, low, high = (entry[key] for key in ("value", "low", "high"))
  text = tables.percent(round(value, 3))
  if low is None:
    return text
  ends = (tables.percent(round(end, 3)) for end in (low, high))
  return text + interval.format(" to ".join(ends))
