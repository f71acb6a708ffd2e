"""Report of what was taken from weights and what was not, by block."""

from __future__ import annotations

import collections
import re

from tf_micle.runs.named_variables import VALUE

_COLUMNS = ("matched", "missing", "unexpected", "misshapen")
_MOST_LINES, _MOST_NAMES = 10, 3
_HEADS = {"projection_head", "head"}
_GROUP = re.compile(r"(block_group\d)_\d+")
_SLOT = ".OPTIMIZER_SLOT"


class Report:
  """Counts a network's variables by block, as a source has them.

  Attributes:
    expected: shapes of the network's variables, by plain name.
    received: shapes that the source has for them, by plain name.
    taken: names of the parts that are whole in the source.
  """

  def __init__(self, source):
    """Begins the report on a source, `initial_weights.Source`."""
    self._source = source
    self._rows = collections.defaultdict(collections.Counter)
    self._lines = collections.defaultdict(list)
    self._totals = collections.defaultdict(collections.Counter)
    self.expected, self.received = {}, {}

  def add(self, one, shape):
    """Adds a `NamedVariable`, and the shape that the source has, or None."""
    expected = tuple(one.variable.shape)
    self.expected[one.name] = expected
    fault = None
    if shape is None:
      kind, fault = "missing", f"expected {expected}, not in the checkpoint"
    elif shape != expected:
      kind, fault = "misshapen", f"expected {expected}, received {shape}"
      self.received[one.name] = shape
    else:
      kind = "matched"
      self.received[one.name] = shape
    self._count(one.part, one.name, kind)
    if fault:
      self._lines[one.part].append(f"{one.name}: {fault}")

  def add_unexpected(self, key):
    """Adds what the source has and the network, all of it added, has not."""
    part = key.split("/")[0]
    if part not in self._totals or _SLOT in key:
      return
    name = key.removesuffix(VALUE)
    self._count(part, name, "unexpected")
    self._lines[part].append(f"{name}: not expected")

  def _count(self, part, name, kind):
    self._rows[_block(name)][kind] += 1
    self._totals[part][kind] += 1

  def faulty_parts(self, optional=()):
    """Returns the parts that cannot start from the source.

    Args:
      optional: parts that may be absent as a whole.
    """
    return [
      part
      for part, counts in self._totals.items()
      if self._lines[part]
      and not (part in optional and set(counts) == {"missing"})
    ]

  def faults(self, parts):
    """Returns what is wrong with parts, in a few lines."""
    lines = [line for part in parts for line in self._lines[part]]
    shown = "".join(f"\n  {line}" for line in lines[:_MOST_LINES])
    more = len(lines) - _MOST_LINES
    return (
      f"{len(lines)} of {len(self.expected)} variables do not fit "
      f"{self._source.path} ({self._source.format}):{shown}"
      + (f"\n  and {more} more" if more > 0 else "")
      + f"\n{self.table()}"
    )

  def table(self):
    """Returns the counts by block, a line each."""
    width = max(map(len, self._rows))
    head = f"  {'':{width}}" + "".join(f"{name:>11}" for name in _COLUMNS)
    return "\n".join(
      [head]
      + [
        f"  {block:{width}}" + "".join(f"{row[name]:>11}" for name in _COLUMNS)
        for block, row in sorted(self._rows.items(), key=_order)
      ]
    )

  @property
  def taken(self):
    """Names of the parts that are whole in the source."""
    return [part for part in self._totals if not self._lines[part]]

  def __str__(self):
    matched = sum(row["matched"] for row in self._rows.values())
    text = (
      f"{matched} of {len(self.expected)} variables from {self._source.path} "
      f"({self._source.format})\n{self.table()}"
    )
    for part in self._totals.keys() - set(self.taken):
      text += f"\n  {part} is not there: it keeps its initial values"
    there = {key.split("/")[0] for key in self._source.shapes}
    for part in sorted(there & _HEADS - self._totals.keys()):
      classes = f" of {self._source.classes} classes" * (part == "head")
      text += f"\n  {part}{classes} is not taken"
    left = self._source.left
    if left:
      more = ", ..." if len(left) > _MOST_NAMES else ""
      text += (
        f"\n  {len(left)} more in the file, of no part of this network: "
        f"{', '.join(left[:_MOST_NAMES])}{more}"
      )
    return text


def _order(row):
  """Puts rows in the order of the network."""
  block = row[0]
  return "encoder" not in block, "stem" not in block, block == "head", block


def _block(name):
  """Returns the row of a variable: part, and group of blocks or layer."""
  part, _, rest = name.partition("/")
  if part != "encoder":
    return part
  found = _GROUP.match(rest)
  return f"{part}/{found[1] if found else 'stem'}"
