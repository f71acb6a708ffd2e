"""`python -m data.build_tfrecords` on input that is not right."""

from __future__ import annotations

import csv
import os

import pytest
from build_site import Site, patients, write_images
from PIL import Image

from data.images import image_bytes
from data.manifest import splits
from data.records import dataset_json


@pytest.fixture
def site(tmp_path):
  return Site(tmp_path)


def test_skip_writes_rejected_rows_and_builds_the_rest(site, capsys):
  site.write("image,patient_id,split", *[[*r[:2], "x"] for r in patients(5)])
  (site.images / "folder0" / "secret0-0.png").unlink()
  for broken in ("secret1-0.png", "secret1-1.png"):
    path = site.images / "folder1" / broken
    path.write_bytes(path.read_bytes()[:50])  # the header is still sound
  (site.images / "folder2" / "secret2-1.png").write_bytes(b"")
  assert site.run() == 2
  report = capsys.readouterr().err
  assert "row 2: " in report
  assert "there is no such file" in report
  assert "--on_bad_image=skip" in report
  assert not site.output.exists()
  assert site.run(on_bad_image="skip") == 0
  with open(site.output / "rejected.csv", newline="") as file:
    rejected = list(csv.DictReader(file))
  assert [r["row"] for r in rejected] == ["2", "4", "5", "7"]
  assert all(r["reason"] for r in rejected)
  split = dataset_json.load(site.output).splits["x"]
  assert split.images + len(rejected) == 10
  assert split.bags == 4
  assert split.bag_sizes == {1: 2, 2: 2}


def test_fail_names_every_damaged_image(site, capsys):
  site.write("image,patient_id", *[row[:2] for row in patients(5)])
  for path in sorted(site.images.rglob("*.png"))[:3]:
    path.write_bytes(path.read_bytes()[:50])
  assert site.run() == 2
  report = capsys.readouterr().err
  assert "3 problems" in report
  assert "'folder0/secret0-0.png'" in report
  assert sorted(p.name for p in site.root.iterdir()) == [
    "manifest.csv",
    "secret-images",
  ]


def test_split_without_a_sound_image(site, capsys):
  site.write("image,patient_id,split", ["a.png", "1", "x"], ["b.png", "2", "y"])
  (site.images / "b.png").unlink()
  assert site.run(on_bad_image="skip") == 2
  assert "Received: none in y (row 3: " in capsys.readouterr().err


def make_file_fault(site, fault):
  """Writes a manifest of two sound rows and a third with the fault."""
  images = site.images
  write_images(images, ["a.png", "b.png", "sub/ü.png"])
  write_images(site.root, ["outside.png"])
  (images / "link.png").symlink_to(site.root / "outside.png")
  (images / "alias.png").symlink_to(images / "a.png")
  (images / "text.png").write_text("hello")
  for kind in ("gif", "png", "tiff"):
    pages = [Image.new("L", (12, 8), shade) for shade in (0, 99, 200)]
    pages[0].save(
      images / f"pages.{kind}", save_all=True, append_images=pages[1:]
    )
  (images / "scan").write_bytes(bytes(128) + b"DICM" + bytes(200))
  (images / "old.dcm").write_bytes(
    b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(99)
  )
  os.mkfifo(images / "pipe.png")
  image, patient = fault
  rows = [["a.png", "1"], ["b.png", "2"], [image, patient]]
  site.write("image,patient_id", *rows, images=False)


@pytest.mark.parametrize(
  ("fault", "message"),
  [
    (("none.png", "3"), "there is no such file"),
    (("sub", "3"), "it is a folder"),
    (("pipe.png", "3"), "it is not a regular file"),
    (("text.png", "3"), "it is damaged, or not JPEG"),
    (("pages.gif", "3"), "it holds 3 pictures"),
    (("pages.png", "3"), "it holds 3 pictures"),
    (("pages.tiff", "3"), "it holds 3 pictures"),
    (("scan", "3"), "it is a DICOM file without an image"),
    (("old.dcm", "3"), "it is a DICOM file"),
    (("../outside.png", "3"), "leads out"),
    (("/etc/passwd", "3"), "leads out"),
    (("C:\\scans\\a.png", "3"), "leads out"),
    (("..\\outside.png", "3"), "leads out"),
    (("link.png", "3"), "leads out"),
    (("a.png", "1"), "row 2 lists already"),
    (("sub/../a.png", "1"), "row 2 lists already"),
    (("alias.png", "1"), "row 2 lists already"),
    (("a.png", "3"), "under '3' here and under '1' in row 2"),
  ],
)
def test_fault_of_an_image_path(site, capsys, fault, message):
  make_file_fault(site, fault)
  # Damaged behind its header, which the first report does not see.
  sound = site.images / "b.png"
  sound.write_bytes(sound.read_bytes()[:50])
  assert site.run(split_fractions="train=1") == 2
  report = capsys.readouterr().err
  assert "1 problem found" in report
  assert "row 4: Expected" in report
  assert message in report


@pytest.mark.parametrize(
  "image", ["sub\\ü.png", "sub/u\u0308.png", "./sub//ü.png", "{root}/sub/ü.png"]
)
def test_path_forms_that_are_accepted(site, image):
  image = image.format(root=site.images)
  make_file_fault(site, (image, "3"))
  assert site.run(split_fractions="train=1") == 0


def fill(path):
  path.mkdir()
  (path / "file").touch()


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ({"manifest": ""}, "--manifest: Expected a path"),
    ({"manifest": "none.csv"}, "No such file"),
    ({"image_root": "none"}, "--image_root: Expected the folder"),
    ({"output_dir": "{root}/full"}, "which holds files"),
    ({"output_dir": "{root}/manifest.csv"}, "which is a file"),
    ({"output_dir": "{root}/manifest.csv/x"}, "in a folder"),
    ({"output_dir": "/proc/out"}, "output_dir: Expected a path that can"),
    ({"id_key_file": "{root}/out/key"}, "outside of the output folder"),
    ({"id_key_file": "{root}/manifest.csv"}, "64 hexadecimal digits"),
    ({"image_column": "file"}, "Expected a column 'file'"),
    ({"label_column": "diagnosis"}, "Expected a column 'diagnosis'"),
    ({"split_column": "split"}, "Expected a column 'split'"),
    ({"bag_column": "study"}, "Expected a column 'study'"),
    ({"label_columns": "label,x"}, "Expected a column 'x'"),
    ({"label_columns": "label,label"}, "different columns"),
    ({"label_column": "label", "label_columns": "x"}, "Received: both"),
    ({"split_column": "s", "manifest_split": "train"}, "Received: both"),
    ({"split_fractions": "train=0.5"}, "sum to 1"),
    ({"split_fractions": "a=.25,b=.25,c=.25,d=.25"}, "3 patients for 4"),
    ({"max_side": 0}, "--max_side: Expected a number from 1"),
    ({"max_side": "big"}, "max_side"),
    ({"workers": 0}, "--workers: Expected"),
    ({"on_bad_image": "ignore"}, "on_bad_image"),
    ({"name": "a-b"}, "--name: Expected a letter"),
    ({"colour": "red"}, "colour"),
  ],
)
def test_bad_flags(site, capsys, flags, message):
  if flags.get("output_dir") == "/proc/out" and os.access("/proc", os.W_OK):
    pytest.skip("root may write everywhere")
  site.write("image,patient_id,label", *patients(3))
  fill(site.root / "full")
  before = sorted(site.root.iterdir())
  flags = {k: str(v).format(root=site.root) for k, v in flags.items()}
  assert site.run(**flags) == 2
  assert message in capsys.readouterr().err
  assert sorted(site.root.iterdir()) == before


def test_one_report_for_flags_manifest_and_images(site, capsys):
  site.write("image,patient_id", ["a.png", ""], ["b.png", "2"])
  (site.images / "b.png").unlink()
  assert site.run() == 2
  report = capsys.readouterr().err
  assert "2 problems" in report
  assert site.run(max_side=0, workers=0) == 2
  report = capsys.readouterr().err
  assert "3 problems" in report
  assert "image files were not looked at yet" in report


def test_too_few_patients_are_told_before_images_are_looked_at(site, capsys):
  site.write("image,patient_id", ["a.png", "1"], ["b.png", "2"])
  (site.images / "b.png").unlink()
  assert site.run() == 2
  report = capsys.readouterr().err
  assert "Received: 2 patients for 3 splits" in report
  assert "image files were not looked at yet" in report


def test_what_a_decoder_quotes_of_a_file_stays_out(site):
  site.write("image,patient_id,split", *[[*r[:2], "x"] for r in patients(3)])
  first = next(site.images.rglob("secret0-0.png"))
  first.write_bytes(b"P6\nSURNAME 12 255\n" + bytes(99))
  assert site.run(on_bad_image="skip") == 0
  written = [p.read_bytes() for p in site.output.rglob("*") if p.is_file()]
  assert not any(b"SURNAME" in content for content in written)
  assert b"2,it is damaged" in (site.output / "rejected.csv").read_bytes()


@pytest.mark.parametrize("missing", ["NA", "nan", "<NA>", "N/A", "null"])
def test_missing_as_r_and_pandas_write_it_is_no_patient(site, capsys, missing):
  site.write(
    "image,patient_id,label,split",
    ["a.png", missing, "x", "train"],
    ["b.png", "p", missing, missing],
  )
  assert site.run() == 2
  report = capsys.readouterr().err
  for row, column in ((2, "patient_id"), (3, "split")):
    expected = f"row {row}: Expected a value in column {column!r}. Received: "
    assert f"{expected}{missing!r}: fill it in" in report


def test_missing_labels_are_unlabelled_and_names_are_one_line(site):
  site.write(
    "image,patient_id,label,split",
    ["a.png", "p", "NA", "train"],
    ["b.png", "q", "a\nb", "train"],
    ["c.png", "r", "9" * 5000, "train"],
  )
  assert site.run() == 0
  description = dataset_json.load(site.output)
  assert description.class_names == ("9" * 5000, "a b")
  assert description.splits["train"].labelled_images == 2


def test_the_key_may_not_be_the_output(site, capsys):
  site.write("image,patient_id", *[row[:2] for row in patients(3)])
  assert site.run(id_key_file=site.output) == 2
  assert "outside of the output folder" in capsys.readouterr().err
  assert not site.output.exists()


@pytest.mark.parametrize(
  ("module", "function"),
  [(splits, "_apportion"), (splits, "is_split_name"), (image_bytes, "_encode")],
)
def test_a_fault_of_the_program_is_told_as_one(
  site, capsys, monkeypatch, module, function
):
  def faulty(*_):
    raise ValueError("a fault")

  site.write("image,patient_id,label", *patients(12))
  monkeypatch.setattr(module, function, faulty)
  fractions = "train=0.5,test=0.5"
  assert site.run(split_fractions=fractions, on_bad_image="skip") == 1
  told = capsys.readouterr().err
  assert "Traceback" in told
  assert "ValueError: a fault" in told
  assert "fault of the program" in told.splitlines()[-1]
  assert not site.output.exists()
