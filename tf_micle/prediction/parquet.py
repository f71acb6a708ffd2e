"""Predictions as a Parquet file."""

from __future__ import annotations

import csv

from tf_micle.system.written_whole import written_whole


def problem():
  """Returns why Parquet cannot be written, in a list; empty where it can.

  The latest pyarrow, which TFDS would bring without requirements.txt, does not
  import: it needs NumPy 2, and TensorFlow 2.15 NumPy 1.
  """
  try:
    from pyarrow import csv, parquet  # noqa: F401
  except ImportError as error:
    return [
      "Expected a pyarrow that works with NumPy 1, to write Parquet: pip "
      "install 'pyarrow<21', or name an --output that ends in .csv. Received: "
      f"{error}"
    ]
  return []


def from_csv(source, path, *, floats, integers):
  """Turns a CSV file into a Parquet file, a block at a time.

  Args:
    source: the CSV file, with a header, in UTF-8.
    path: the file to write; it takes this name when complete.
    floats, integers: names of such columns, where they are there; all others
      hold texts.
  """
  import pyarrow
  from pyarrow import csv as arrow_csv
  from pyarrow import parquet

  with open(source, encoding="utf-8", newline="") as file:
    header = next(csv.reader(file))
  kinds = {
    **dict.fromkeys(floats, pyarrow.float64()),
    **dict.fromkeys(integers, pyarrow.int64()),
  }
  types = {name: kinds.get(name, pyarrow.string()) for name in header}
  reader = arrow_csv.open_csv(
    source,
    parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
    convert_options=arrow_csv.ConvertOptions(column_types=types),
  )
  with (
    reader,
    written_whole(path, binary=True) as file,
    parquet.ParquetWriter(file, reader.schema) as writer,
  ):
    for batch in reader:
      writer.write_batch(batch)
