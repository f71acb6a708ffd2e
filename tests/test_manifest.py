"""Manifest: the CSV as it may be written, and fault by fault."""

from __future__ import annotations

import csv
import math
import unicodedata

import pytest

from data.manifest.manifest import read_manifest
from data.manifest.rows import ManifestColumns
from data.problems import InputError

COLUMNS = ManifestColumns(
  label="label", split="split", optional=frozenset({"label", "split"})
)
ROWS = [
  ["image", "patient_id", "label"],
  ["a;1,2.png", "Müller\nJörg", "näevus"],
  ["b.png", 'p "2"', ""],
]


def as_csv(delimiter=",", line_end="\r\n"):
  class Dialect(csv.excel):
    pass

  Dialect.delimiter, Dialect.lineterminator = delimiter, line_end
  lines = []

  class Sink:
    write = lines.append

  csv.writer(Sink, Dialect).writerows(ROWS)
  return "".join(lines)


def read(tmp_path, content, columns=COLUMNS):
  path = tmp_path / "manifest.csv"
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  manifest, problems = read_manifest(path, columns)
  if problems:
    raise InputError(problems)
  return manifest


@pytest.mark.parametrize(
  "content",
  [
    as_csv().encode(),
    as_csv(line_end="\n").encode("utf-8-sig"),
    as_csv(";").encode("utf-8-sig"),
    as_csv("\t").encode("utf-16"),
    as_csv("\t").encode("utf-16-le"),
    b"\xfe\xff" + as_csv("\t").encode("utf-16-be"),
    as_csv(";").encode("cp1252"),
    ("sep=;\r\n" + as_csv(";")).encode(),
    ("sep=|\r\n" + as_csv("|")).encode("utf-8-sig"),
    (as_csv() + "\r\n,,\r\n\r\n").encode(),
    as_csv().replace("b.png", " b.png ").encode(),
  ],
)
def test_csv_as_spreadsheets_write_it(tmp_path, content):
  manifest = read(tmp_path, content)
  assert [row[:5] for row in manifest.rows] == [
    (2, "a;1,2.png", "Müller\nJörg", "Müller\nJörg", "näevus"),
    (3, "b.png", 'p "2"', 'p "2"', None),
  ]
  assert manifest.task == "multi_class"
  assert manifest.class_names == ("näevus",)


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path):
  content = '\nimage,patient_id\na,"1\n\n2"\n\n,\nb,2\n'
  assert [row.row for row in read(tmp_path, content).rows] == [3, 6]


def test_whole_number_classes_are_ordered_as_numbers(tmp_path):
  content = "image,patient_id,label\na,1,10.0\nb,1,2\nc,1,NaN\nd,1,2.0\n"
  manifest = read(tmp_path, content)
  assert manifest.class_names == ("2", "10")
  assert [row.label for row in manifest.rows] == ["10", "2", None, "2"]


def test_multi_label_values(tmp_path):
  columns = ManifestColumns(labels=("x", "y"), bag="study")
  content = "image,patient_id,study,x,y\na,1,s,1.0,-1\nb,1,t,0,\nc,1,t,nan,1\n"
  manifest = read(tmp_path, content, columns)
  assert manifest.task == "multi_label"
  assert manifest.class_names == ("x", "y")
  assert [row.bag for row in manifest.rows] == ["s", "t", "t"]
  values = [row.label for row in manifest.rows]
  assert values[0] == (1, -1)
  assert values[1][0] == 0
  assert math.isnan(values[1][1])
  assert math.isnan(values[2][0])


def test_unicode_forms_of_an_id_are_one_patient(tmp_path):
  names = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
  assert names[0] != names[1]
  columns = ManifestColumns(bag="study")
  content = "image,patient_id,study\n" + "".join(
    f"{i},{name},{name}\n" for i, name in enumerate(names)
  )
  rows = read(tmp_path, content, columns).rows
  assert len({(row.patient, row.bag) for row in rows}) == 1


def test_manifest_without_labels(tmp_path):
  manifest = read(tmp_path, "image,patient_id\na,1\n")
  assert manifest.task == "unlabelled"
  assert manifest.rows[0].label is None
  assert manifest.rows[0].split is None


def test_notes(tmp_path):
  content = "image,patient_id,label\na,Zoë,Mole\nb,2,mole\n"
  notes = read(tmp_path, content.encode("cp1252")).notes
  assert "Windows-1252" in notes[0]
  assert "'Mole', 'mole'" in notes[1]
  notes = read(tmp_path, "image,patient_id,label\na,1,\n").notes
  assert "'label' is empty" in notes[0]


SPLIT_HEADER = "image,patient_id,split\n"
HEADER = "image,patient_id,label\n"


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("", "Received: an empty file"),
    ("\n\n", "Received: an empty file"),
    (HEADER, "Received: no rows"),
    ("img,patient_id\na,1\n", "row 1: Expected a column 'image'.*'img'"),
    ("image,patient\na,1\n", "Did you mean 'patient'"),
    ("image,patient_id,image\na,1,b\n", "row 1: .*'image' 2 times"),
    (HEADER + "a,,x\n", "row 2: .*column 'patient_id'. Received: an empty"),
    (HEADER + "a,1,x\n ,2,x\n", "row 3: .*column 'image'. Received: an empty"),
    (HEADER + "a,1\n", "row 2: Expected 3 cells.*Received: 2"),
    (HEADER + "a,1,x,y\n", "row 2: Expected 3 cells.*Received: 4"),
    (HEADER + "a,1,-1\nb,1,0\n", "row 2: Expected a class number.*'-1'"),
    (HEADER + 'a,1,"x\nb,2,y\n', "row 2: .*end of the file inside"),
    (HEADER + 'a,1,"x"y\n', "row 2: .*breaks its rules"),
    (HEADER + f"a,1,{'x' * 140000}\n", "row 2: .*up to 131072 char"),
    (HEADER + f"a,1,{'x' * 10**8}\n", "row 2: .*up to 131072 char"),
    ("," * 10**6 + HEADER, "row 1: Expected at most 10000 columns"),
    (
      ",".join(["img", "patient_id", *map(str, range(9000))]) + "\na\n",
      "and 8982 more",
    ),
    (
      SPLIT_HEADER + "a,1,\n",
      "row 2: .*column 'split'. Received: an empty cell: fill it in or remove",
    ),
    (SPLIT_HEADER + "a,1,x\nb,1,NA\n", "row 3: .*'split'. Received: 'NA'"),
    (SPLIT_HEADER + "a,1,tr-ain\n", "Received: 'tr-ain'"),
    (SPLIT_HEADER + "a,1,all\n", "Received: 'all'"),
    (
      SPLIT_HEADER + "a,1,x\nb,1,y\nc,1,x\n",
      r"row 2: Expected patient '1' in one split. Received: 'x' "
      r"\(2 rows: 2, 4\); 'y' \(1 row: 3\)",
    ),
    (b"image,patient_id\n\x81,1\n", "bytes that are none of them"),
  ],
)
def test_fault(tmp_path, content, message):
  with pytest.raises(InputError, match=message) as caught:
    read(tmp_path, content)
  assert len(caught.value.problems) == 1


@pytest.mark.parametrize("value", ["2", "yes", "0.5", "inf"])
def test_bad_multi_label_value(tmp_path, value):
  columns = ManifestColumns(labels=("x", "y"))
  content = f"image,patient_id,x,y\na,1,1,{value}\n"
  with pytest.raises(InputError, match=f"row 2: .*'y'. Received: '{value}'"):
    read(tmp_path, content, columns)


def test_all_faults_come_in_one_report_in_order_of_rows(tmp_path):
  content = SPLIT_HEADER + "a,1\nb,,x\n,2,y z\nc,3,x\nd,3,y\n"
  with pytest.raises(InputError) as caught:
    read(tmp_path, content)
  rows = [problem.row for problem in caught.value.problems]
  assert rows == [2, 3, 4, 4, 5]


def test_long_report_counts_the_rest_by_kind(tmp_path):
  content = HEADER + "a,,x\n" * 120 + "a,1\n" * 3
  with pytest.raises(InputError) as caught:
    read(tmp_path, content)
  lines = str(caught.value).splitlines()
  assert len(lines) == 102
  assert lines[0].startswith("123 problems")
  assert lines[-1].endswith("and 23 more (empty cell: 20, ragged row: 3)")


def test_missing_file(tmp_path):
  with pytest.raises(InputError, match="No such file"):
    read_manifest(tmp_path / "none.csv", COLUMNS)
