"""Section of the summary: the main numbers in plain words."""

from __future__ import annotations

from tf_micle.evaluation.evaluation_notes import FEW_PATIENTS
from tf_micle.report import tables
from tf_micle.report.blocks import Section, Text
from tf_micle.system.plurals import counted

# More classes than this are for the tables.
_MOST = 5


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
  rates = [
    (name, one)
    for name, one in found.items()
    if one["sensitivity"]["value"] is not None
  ]
  rates.sort(key=lambda pair: -pair[1]["sensitivity"]["denominator"])
  data = basis.result["operating_points"]["data"]
  lines = [
    f"{name}: with the threshold chosen on {data} it finds "
    f"{_counts(one['sensitivity'])} who have it, and rightly leaves "
    f"{_counts(one['specificity'])} who have not."
    for name, one in rates[:_MOST]
  ]
  if len(rates) > _MOST:
    lines.append(f"{len(rates) - _MOST} more are in the tables.")
  return lines


def _calibration(basis):
  """Names the classes whose slope is surely not 1."""
  if basis.result["patient"]["labelled"] < FEW_PATIENTS:
    return []
  found = {"too extreme": [], "not extreme enough": []}
  for name, one in basis.result["patient"]["calibration"].items():
    low, high = one["slope"]["low"], one["slope"]["high"]
    if low is not None and high < 1:
      found["too extreme"].append(name)
    elif low is not None and low > 1:
      found["not extreme enough"].append(name)
  return [
    f"Its probabilities are {what} for {', '.join(names)} (calibration slope)."
    for what, names in found.items()
    if names
  ]


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
