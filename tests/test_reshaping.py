"""Steps that make one row an image of a label file, and their problems."""

from __future__ import annotations

import gzip
import math

import pytest

from data.builder import plan
from data.manifest.manifest import read_manifest
from data.manifest.reshape_options import ReshapeOptions, check
from data.manifest.rows import ManifestColumns
from data.problems import InputError


def read(folder, content, columns=None, files=None, **steps):
  """Reads a manifest; files are further ones, {name: content}."""
  for name, text in {"m.csv": content, **(files or {})}.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "wt") as file:
      file.write(text)
  reshape = ReshapeOptions(**steps)
  columns = ManifestColumns(**(columns or {}))
  assert not list(check(reshape, columns.label, columns.labels))
  columns = reshape.columns(columns)
  manifest, problems = read_manifest(
    folder / "m.csv", columns, reshape, str(folder)
  )
  if problems:
    raise InputError(problems)
  return manifest


def values(manifest):
  """The findings, NaN as None."""
  return [
    tuple(None if math.isnan(v) else int(v) for v in row.label)
    for row in manifest.rows
  ]


def test_patterns_templates_and_folders(tmp_path):
  (tmp_path / "part_1").mkdir()
  (tmp_path / "part_2").mkdir()
  (tmp_path / "part_2" / "p1").mkdir()
  (tmp_path / "part_2" / "p1" / "10_left.jpg").write_text("")
  manifest = read(
    tmp_path,
    "image,level\n10_left,0\n10_right,2\n",
    {"label": "level", "metadata": ("side",)},
    pattern=(r"image:^(?P<patient_id>\d+)_(?P<side>left|right)$",),
    path_template="p{patient_id:.1}/{image}.jpg",
    image_folders=("part_*", "none"),
  )
  assert [row[:3] for row in manifest.rows] == [
    (2, "part_2/p1/10_left.jpg", "10"),
    (3, "p1/10_right.jpg", "10"),  # In no folder: told as missing later.
  ]
  assert [row.metadata for row in manifest.rows] == [("left",), ("right",)]
  assert manifest.class_names == ("0", "2")


def test_several_files_and_joins(tmp_path):
  manifest = read(
    tmp_path,
    "image,who\nA.png,1\nb.png,2\n",
    {"patient": "person", "label": "dx", "metadata": ("a/b",)},
    {
      "test.csv.gz": "who,image,more\n3,c.png,x\n",
      "dx.csv": "id,w,dx,a/b,code\na.PNG,1,mole,u,P1\nc.png,3,spot,v,P3\n"
      "b.png,2,mole,,P2\n",
    },
    manifest_split="train",
    more_manifests=("test=test.csv",),
    join=("dx.csv:image=id,who=w",),
    pattern=(r"code:P(?P<person>\d)",),
  )
  assert [
    (r.row, r.image, r.patient, r.label, r.split) for r in manifest.rows
  ] == [
    (2, "A.png", "1", "mole", "train"),
    (3, "b.png", "2", "mole", "train"),
    (12, "c.png", "3", "spot", "test"),
  ]
  assert manifest.metadata_values() == {"a_b": ("", "u", "v")}
  assert manifest.numbering == ("Row 10 + k is row k of 'test.csv'.",)


def test_a_row_without_a_partner_is_unlabelled_and_told(tmp_path):
  manifest = read(
    tmp_path,
    "image,patient_id\na,1\nb,2\n",
    {"label": "dx"},
    {"dx.csv": "image,dx\na,mole\n"},
    join=("dx.csv:image",),
  )
  assert [row.label for row in manifest.rows] == ["mole", None]
  assert "1 row found no partner in 'dx.csv'" in manifest.notes[0]
  assert "(row 3)" in manifest.notes[0]


def test_two_images_a_row_have_row_numbers_of_their_own(tmp_path):
  manifest = read(
    tmp_path,
    "ID,L,R,N\n"
    + "".join(f"{k},{k}l,{k}r,1\n" for k in range(9))
    + "9,,9r,0\n",
    {"patient": "ID", "labels": ("N",), "metadata": ("image_column",)},
    image_columns=("L", "R"),
  )
  rows = {row.row: row for row in manifest.rows}
  assert len(manifest.rows) == 19
  assert (rows[2].image, rows[102].image, rows[111].image) == ("0l", "0r", "9r")
  assert 11 not in rows
  assert {rows[2].metadata, rows[102].metadata} == {("L",), ("R",)}
  assert manifest.numbering == ("Row 100 + k is the 'R' of row k.",)


def test_one_hot_columns_are_a_class(tmp_path):
  manifest = read(
    tmp_path,
    "image,patient_id,A,B\na,1,1.0,0.0\nb,2,0,1\nc,3,0,\n",
    one_hot_columns=("A", "B"),
  )
  assert [row.label for row in manifest.rows] == ["A", "B", None]
  assert manifest.task == "multi_class"


@pytest.mark.parametrize(
  ("separator", "cells"),
  [
    ("|", ["B|A", "None", "", " C | A "]),
    ("list", ["\"['B', ' A', '']\"", "['None']", "", "\"['C', 'A']\""]),
  ],
)
def test_texts_are_findings(tmp_path, separator, cells):
  content = "image,patient_id,x\n" + "".join(
    f"{k},{k},{cell}\n" for k, cell in enumerate(cells)
  )
  given = {"label_separator": separator, "no_finding_labels": ("None",)}
  manifest = read(tmp_path, content, {"label": "x"}, **given)
  assert manifest.class_names == ("A", "B", "C")
  assert values(manifest) == [(1, 1, 0), (0, 0, 0), (None,) * 3, (1, 0, 1)]
  manifest = read(
    tmp_path, content, {"label": "x", "labels": ("C", "D")}, **given
  )
  assert values(manifest) == [(0, 0), (0, 0), (None, None), (1, 0)]
  assert "No row names 'D'." in manifest.notes


def test_blanks_are_absent_where_a_row_states_anything(tmp_path):
  content = "image,patient_id,A,B\na,1,1,\nb,2,,\nc,3,-1,NA\n"
  columns = {"labels": ("A", "B")}
  assert values(read(tmp_path, content, columns, blank="absent")) == [
    (1, 0),
    (None, None),
    (-1, 0),
  ]


def test_rows_of_an_image_are_merged(tmp_path):
  content = "image,patient_id,A,B,C\na,1,0,-1,\nb,2,,0,0\na,1,1,0,\na,1,-1,,\n"
  columns = {"labels": ("A", "B", "C")}
  manifest = read(tmp_path, content, columns, merge_rows=True)
  assert [row.row for row in manifest.rows] == [2, 3]
  assert values(manifest) == [(1, -1, None), (None, 0, 0)]


HEADER = "image,patient_id,label\n"


@pytest.mark.parametrize(
  ("content", "columns", "steps", "message", "rows"),
  [
    (
      HEADER + "a,1,x\nb2,2,y\nc,3,z\n",
      {},
      {"pattern": (r"image:(?P<n>\d)",)},
      r"Expected a text with \(\?P<n>\\d\) in column 'image' \(--pattern\)",
      [2, 4],
    ),
    (
      HEADER,
      {},
      {"pattern": ("image:(?P<n>.)",), "blank_patients": "own"},
      "Received: no rows",
      [None],
    ),
    (
      HEADER + "a,1,x\n",
      {},
      {
        "pattern": (r"image:(?P<n>\d)", r"n:(?P<m>.)"),
        "path_template": "{n}.jpg",
        "image_folders": (".",),
        "blank_patients": "own",
        "merge_rows": True,
      },
      "Expected a text with",
      [2],
    ),
    (
      HEADER + "a,1,x\n",
      {},
      {"pattern": ("image:(?P<label>.)",)},
      "no column has yet. Received: 'label'",
      [None],
    ),
    (
      HEADER + "a,1,x\n",
      {},
      {"path_template": "{imago}.jpg"},
      "--path_template: Expected a column 'imago'.*Did you mean 'image'",
      [None],
    ),
    (
      HEADER + "a,1,x\n,1,x\n",
      {},
      {"path_template": "{image}.jpg"},
      "Expected a value in column 'image', for the path",
      [3],
    ),
    (
      HEADER + "a,1,x\n",
      {},
      {"image_folders": ("none",)},
      "--image_folders: Expected folders below",
      [None],
    ),
    (
      HEADER + "a,1,x\n",
      {},
      {"join": ("none.csv:image",)},
      "--join, 'none.csv', .*No such file",
      [None],
    ),
    (
      HEADER + "a,1,x\n",
      {},
      {"more_manifests": ("none.csv",)},
      "--more_manifests, 'none.csv', .*No such file",
      [None],
    ),
    (
      "image,patient_id,A,B\na,1,1,1\nb,1,2,0\nc,1,0,1\n",
      {},
      {"one_hot_columns": ("A", "B")},
      "Expected one 1 in --one_hot_columns, else 0. Received: A=1, B=1",
      [2, 3],
    ),
    (
      HEADER + "a,1,\"['x', y]\"\n",
      {"label": "label"},
      {"label_separator": "list"},
      "none in any row(.|\n)*Expected a list in text",
      [None, 2],
    ),
    (
      HEADER + "a,1,\"['x', y]\"\nb,2,['x']\n",
      {"label": "label"},
      {"label_separator": "list"},
      "Expected a list in text",
      [2],
    ),
    (
      HEADER + "a,1,x\na,1,y\na,1,x\n",
      {"label": "label"},
      {"merge_rows": True},
      "of column 'label' in all rows.*'y' here and 'x' in row 2. --label_sep",
      [3],
    ),
    (
      HEADER + "a,1,1\na,2,yes\n",
      {"labels": ("label",)},
      {"merge_rows": True},
      "'2' here and '1' in row 2(.|\n)*Received: 'yes'",
      [3, 3],
    ),
    (
      "L,R,patient_id\n,,1\na,b\n",
      {},
      {"image_columns": ("L", "R")},
      "Expected an image in 'L' or 'R'(.|\n)*Expected 3 cells",
      [2, 3],
    ),
  ],
)
def test_problems_of_steps(tmp_path, content, columns, steps, message, rows):
  with pytest.raises(InputError, match=message) as caught:
    read(tmp_path, content, columns, **steps)
  assert [problem.row for problem in caught.value.problems] == rows


@pytest.mark.parametrize(
  ("other", "message"),
  [
    ("image,x\na,1\na,2\n", "each image once.*rows 2, 3 of that file"),
    ("image,label\na,1\n", "name a column of both as a key.*'label'"),
    ("image,x\nz,1\n", "Received: none that does"),
    ("imago,x\na,1\n", "'o.csv': Expected a column 'image'.*'imago'"),
    ("image,x\na\n", "'o.csv', row 2: Expected 2 cells"),
  ],
)
def test_problems_of_a_joined_file(tmp_path, other, message):
  with pytest.raises(InputError, match=message):
    read(
      tmp_path, HEADER + "a,1,x\n", {}, {"o.csv": other}, join=("o.csv:image",)
    )


@pytest.mark.parametrize(
  ("steps", "message"),
  [
    ({"pattern": ("Path",)}, "COLUMN:REGEX with named groups"),
    ({"pattern": ("Path:(",)}, "regular expression"),
    ({"join": ("a.csv",)}, "FILE:KEY"),
    ({"path_template": "{}.jpg"}, "names of columns in braces"),
    ({"path_template": "{a.jpg"}, "names of columns in braces"),
    ({"one_hot_columns": ("A",)}, "at least two"),
    ({"image_columns": ("A", "A")}, "different columns"),
    ({"label_separator": "|"}, "the column to divide"),
    ({"no_finding_labels": ("x",)}, "Expected --label_separator"),
    ({"blank": "absent"}, "findings in columns"),
    ({"blank": "zero"}, "missing or absent"),
    ({"manifest_split": "all"}, "a split name"),
    ({"more_manifests": ("a=b.csv", "c.csv")}, "Received: some without"),
  ],
)
def test_problems_of_options(steps, message):
  told = list(check(ReshapeOptions(**steps), None, ()))
  assert any(message in line for line in told), told


@pytest.mark.parametrize(
  ("cells", "separator"),
  [
    (["A|B", "A", "B"], "'|'"),
    (["A;B", "A", "B"], "';'"),
    (["A, B", "B, C", "A", "C"], "','"),
    (["['A']", "['A', 'B']"], "'list'"),
    (["melanoma, in situ", "melanoma, invasive", "naevus"], None),
    (["A, B", "C"], None),
  ],
)
def test_classes_that_look_like_combinations(tmp_path, cells, separator):
  content = HEADER + "".join(f'{k},{k},"{c}"\n' for k, c in enumerate(cells))
  columns = {"label": "label"}
  if separator:
    with pytest.raises(InputError, match="several findings") as caught:
      read(tmp_path, content, columns)
    assert f"--label_separator={separator}" in str(caught.value)
  manifest = read(tmp_path, content, columns, label_separator="none")
  assert set(manifest.class_names) == set(cells)


def test_fractions_divide_the_given_split_that_they_name(tmp_path):
  content = "image,patient_id,split\n" + "".join(
    f"{k},{k},{'test' if k < 5 else 'train'}\n" for k in range(25)
  )
  manifest = read(tmp_path, content, {"split": "split"})
  given = {str(k): "test" for k in range(5)}
  split_of = plan.assign_splits(manifest, ("train=0.9", "validation=0.1"), 0)
  assert given.items() <= split_of.items()
  counts = [list(split_of.values()).count(n) for n in ("train", "validation")]
  assert counts == [18, 2]
  for fractions in (("train=0.5", "test=0.5"), ("x=1",)):
    with pytest.raises(InputError, match="the name of one given split"):
      plan.assign_splits(manifest, fractions, 0)


def test_a_cut_gzip_file_is_told(tmp_path):
  packed = gzip.compress(("image,patient_id\n" + "a,1\n" * 9999).encode())
  for content in (packed[:-20], b"no gzip"):
    (tmp_path / "m.csv.gz").write_bytes(content)
    with pytest.raises(InputError, match="a whole gzip file"):
      read_manifest(tmp_path / "m.csv.gz", ManifestColumns())
