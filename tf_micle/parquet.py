"""Predictions as a Parquet file, where pyarrow is installed."""

from __future__ import annotations

import csv
import importlib.util
import os


def fault():
  """Returns why Parquet cannot be written, in a list; empty where it can."""
  if importlib.util.find_spec("pyarrow"):
    return []
  return [
    "Expected pyarrow to be installed, which writes Parquet: pip install "
    "pyarrow, or name an --output that ends in .csv. Received: no pyarrow"
  ]


def from_csv(source, path, *, numbers):
  """Turns a CSV file into a Parquet file, a block at a time.

  Args:
    source: the CSV file, with a header, in UTF-8.
    path: the file to write; it takes this name when complete.
    numbers: columns of floats; all others hold texts.
  """
  import pyarrow
  from pyarrow import csv as arrow_csv
  from pyarrow import parquet

  with open(source, encoding="utf-8", newline="") as file:
    header = next(csv.reader(file))
  types = {
    name: pyarrow.float64() if name in numbers else pyarrow.string()
    for name in header
  }
  reader = arrow_csv.open_csv(
    source,
    parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
    convert_options=arrow_csv.ConvertOptions(column_types=types),
  )
  partial = f"{path}.writing"
  with reader, parquet.ParquetWriter(partial, reader.schema) as writer:
    for batch in reader:
      writer.write_batch(batch)
  os.replace(partial, path)
