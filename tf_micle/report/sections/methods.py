"""Section of the methods: how the numbers were made."""

from __future__ import annotations

from tf_micle.report.blocks import Section, Text
from tf_micle.system.plurals import counted


def section(basis):
  """Returns the `Section`."""
  texts = [_intervals(basis)]
  if basis.unit != "patient":
    texts.append(_patients(basis))
  texts += [
    _metrics(basis),
    "“Not defined” means just that, never 0. Areas, sensitivities and "
    "confusion are computed with scikit-learn.",
  ]
  blocks = [Text(text) for text in texts]
  return Section(
    "methods", "How the numbers were made", "Methods", blocks, "prose"
  )


def _intervals(basis):
  drawn = basis.result["bootstrap"]
  return (
    f"Intervals are {basis.interval} percentile intervals of a bootstrap over "
    f"patients: {counted(drawn['samples'], 'time')}, as many patients as there "
    f"are were drawn with replacement, with all their {basis.unit}s, and "
    f"everything was computed again (seed {drawn['seed']}). Where a proportion "
    "(top-1, top-3, a sensitivity) is 0 or 1, all resamples are the same; its "
    "interval is exact instead (Clopper and Pearson), over the patients that "
    "it is of, and says so. Intervals do not include what another training run "
    "would change, and they are not corrected for there being many of them."
  )


def _patients(basis):
  unit = basis.unit
  if basis.findings:
    label = (
      f"A finding is present if any {unit} has it, else uncertain if any is "
      "uncertain, else absent if any is without it."
    )
  else:
    label = (
      f"The label is the one that all labelled {unit}s of the patient share; "
      "patients with several are left out at this level."
    )
  return (
    f"Per patient, the probabilities of a patient’s {unit}s are averaged. "
    f"{label}"
  )


def _metrics(basis):
  kind = basis.kind
  rest, left_out = "all others (one versus rest)", f"{basis.unit.capitalize()}s"
  of = ", of the highest probability"
  left_out += " without a label are left out."
  if basis.findings:
    rest = "its absence"
    left_out = "Labels that are uncertain or not stated are left out, "
    left_out += "finding by finding."
    of = ", of each finding’s probability, averaged over findings"
  return (
    f"AUROC, AUPRC (average precision) and sensitivity take each {kind} "
    f"against {rest}; a {kind} without positives or without negatives has none "
    f"and is not in the means, which count all other {basis.kinds} alike. "
    "Sensitivity is the highest of all thresholds with at least "
    f"{basis.specificity} specificity. That threshold is read off these very "
    "data, so in use, with a threshold fixed beforehand, expect somewhat less. "
    f"{left_out} The expected calibration error uses 15 bins of equal width"
    f"{of}; resampling raises it, so its interval may lie above its value."
  )
