"""Blocks of a study's report: headings, paragraphs, tables and charts."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Heading:
  """Begins a section."""

  text: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
  """A few sentences."""

  text: str


@dataclasses.dataclass(frozen=True)
class Points:
  """A list of sentences."""

  texts: list[str]


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows of text under names of columns; the first column names the row.

  A cell is text, or texts of which the first is the value and the others are
  smaller under it.
  """

  title: str
  columns: list[str]
  rows: list[list]


@dataclasses.dataclass(frozen=True)
class Chart:
  """An SVG; its lines are named beside it, each with colour and dash."""

  title: str
  svg: str
  legend: list[tuple[str, str, str]]


def markdown(title: str, blocks: list) -> str:
  """Returns blocks as Markdown, charts left out: the tables have them."""
  lines = [f"# {title}", ""]
  for block in blocks:
    if isinstance(block, Heading):
      lines += [f"## {block.text}", ""]
    elif isinstance(block, Paragraph):
      lines += [block.text, ""]
    elif isinstance(block, Points):
      lines += [*(f"- {text}" for text in block.texts), ""]
    elif isinstance(block, Table):
      lines += [f"**{block.title}**", "", _row(block.columns)]
      lines += ["|" + "---|" * len(block.columns)]
      lines += [*map(_row, block.rows), ""]
  return "\n".join(lines)


def _row(cells):
  texts = [c if isinstance(c, str) else "; ".join(c) for c in cells]
  return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"
