"""Blocks of a report: what sections are made of, and the page can show.

Text is plain: the page escapes it. A section that needs no new kind of block
needs no line in the page, its style or its files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Cell:
  """A cell of a table.

  Attributes:
    text: what it says.
    detail: said after it, smaller, such as an interval.
    meaning: said under it, smaller.
    no_width: whether its interval has no width, which gets a mark.
    undefined: whether `text` says that there is no value.
    bar: {"low", "width", "value"} in percent, drawn under it, or None.
    swatch: (colour, dash) of the line in a chart that it names, or None.
    style: CSS of this cell alone.
    css: its class.
    title: told where a pointer rests on it.
    ends: of an interval in `detail`: (low, high, method) as texts.
  """

  text: str
  detail: str = ""
  meaning: str = ""
  no_width: bool = False
  undefined: bool = False
  bar: dict | None = None
  swatch: tuple[str, str] | None = None
  style: str = ""
  css: str = ""
  title: str = ""
  ends: tuple[str, str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Table:
  """A table; it is written as CSV, too.

  Attributes:
    label: what it holds, for its file and for who does not see it.
    columns: their names; the first is that of the rows' names.
    rows: of `Cell`s or texts, the name of the row first.
    css: its class.
  """

  label: str
  columns: Sequence[str]
  rows: Sequence[Sequence[Cell | str]]
  css: str = ""
  kind = "table"

  @property
  def cells(self) -> list[list[Cell]]:
    """The rows, all of `Cell`s."""
    return [
      [one if isinstance(one, Cell) else Cell(str(one)) for one in row]
      for row in self.rows
    ]

  @property
  def has_no_width(self) -> bool:
    """Whether a cell has the mark."""
    return any(cell.no_width for row in self.cells for cell in row)


@dataclasses.dataclass(frozen=True)
class Chart:
  """A chart: its SVG, and what it shows in words."""

  svg: str
  alt: str


@dataclasses.dataclass(frozen=True)
class Figure:
  """Charts beside each other under one caption.

  Attributes:
    charts: none, one or two.
    caption: a `Cell`, whose detail may be an interval; None without.
    lines: said under the charts.
  """

  charts: Sequence[Chart]
  caption: Cell | None = None
  lines: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Figures:
  """Figures in a grid: "charts" are large, "small-charts", "panels" framed.

  `legend` has a `Cell` with a swatch for each line of all charts.
  """

  label: str
  figures: Sequence[Figure]
  css: str = "charts"
  legend: Sequence[Cell] = ()
  kind = "figures"


@dataclasses.dataclass(frozen=True)
class Text:
  """A paragraph."""

  text: str
  kind = "text"


@dataclasses.dataclass(frozen=True)
class Heading:
  """A heading below that of the section."""

  text: str
  kind = "heading"


@dataclasses.dataclass(frozen=True)
class Cards:
  """The numbers that are read first: (name, `Cell`, what it is over)."""

  cards: Sequence[tuple[str, Cell, str]]
  kind = "cards"


@dataclasses.dataclass(frozen=True)
class Notes:
  """What to keep in mind, line by line."""

  title: str
  lines: Sequence[str]
  kind = "notes"


@dataclasses.dataclass(frozen=True)
class Shown:
  """A picture: its data URI, words for it, what stands under it, its size."""

  source: str
  alt: str
  caption: str
  large: bool = False


@dataclasses.dataclass(frozen=True)
class Case:
  """Pictures of a case, facts by name, and lines under them."""

  pictures: Sequence[Shown]
  facts: dict[str, Cell]
  lines: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Cases:
  """Cases in a grid."""

  cases: Sequence[Case]
  kind = "cases"


@dataclasses.dataclass(frozen=True)
class Facts:
  """Names and what they are."""

  facts: dict[str, str]
  kind = "facts"


@dataclasses.dataclass(frozen=True)
class Section:
  """A section of the report.

  Attributes:
    name: of its anchor and of its files.
    title: above it.
    link: its name in the contents.
    blocks: in order.
    css: its class.
  """

  name: str
  title: str
  link: str
  blocks: Sequence
  css: str = ""
