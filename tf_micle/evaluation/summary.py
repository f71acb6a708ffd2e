"""An evaluation's summary for the terminal: a table, and its notes."""

from __future__ import annotations

from tf_micle.evaluation import decisions, intervals


def summary(result: dict) -> str:
  """Level, metric, value and interval, a line each; then each note once.

  Args:
    result: what `evaluate.evaluate` gave.
  """
  lines = [f"{'level':<16}{'metric':<20}{'value':>8}  95% interval"]
  levels = {name: result[name] for name in (result["unit"], "patient")}
  for level, found in (result.get("difference") or {}).items():
    levels[f"{level}, diff."] = found
  for level, found in levels.items():
    for name, entry in found.items():
      if isinstance(entry, dict) and "value" in entry:
        value, low, high = (
          "-" if entry[k] is None else f"{entry[k]:.3f}"
          for k in ("value", "low", "high")
        )
        mark = f", {entry['method']}" if "method" in entry else ""
        if intervals.has_no_width(entry):
          mark = " *"
        lines.append(f"{level:<16}{name:<20}{value:>8}  {low} to {high}{mark}")
  if any(line.endswith("*") for line in lines):
    lines.append(f"* {intervals.NO_WIDTH}")
  for name, found in (result["patient"].get("decisions") or {}).items():
    rates = ", ".join(
      f"{rate} {found[rate]['numerator']}/{found[rate]['denominator']}"
      for rate in decisions.RATES
    )
    if found["threshold"] is not None:
      lines.append(
        f"{name}, patients at the fixed {found['threshold']:.3f}: {rates}"
      )
  notes = dict.fromkeys(result["notes"])
  return "\n".join([*lines, *(f"- {note}" for note in notes)])
