"""Section of provenance: where model and data come from."""

from __future__ import annotations

from tf_micle.report.blocks import Facts, Section, Text

_ARE = {
  "internal": "internal: of the data set that it was trained on",
  "external": "external: of another data set",
}


def section(basis):
  """Returns the `Section`."""
  facts = {
    name.replace("_", " ").capitalize(): _text(
      _ARE.get(value) if name == "data_are" else value
    )
    for name, value in basis.facts.items()
  }
  block = Facts(facts) if facts else Text("Nothing was put down.")
  return Section("provenance", "Provenance", "Provenance", [block])


def _text(value):
  if value is None:
    return "not known"
  if isinstance(value, dict):
    return ", ".join(f"{name} {one}" for name, one in value.items())
  if isinstance(value, (list, tuple)):
    return ", ".join(str(one) for one in value) or "none"
  return str(value)
