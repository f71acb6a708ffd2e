"""docs/dicom.md runs as printed, and nothing of a header is left anywhere."""

import base64
import csv
import io
import pathlib
import re
import shlex

import dicom_hospital
import numpy as np
import pydicom
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image
from pydicom.datadict import DicomDictionary
from pydicom.encaps import encapsulate

import run
from data import build_tfrecords, inspect
from data.records import bag_records, dataset_json

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "dicom.md"
WORD, DATE = "ZQXMARK7", "19570311"
TIME, NUMBER = "131719.236745", "957311357864"
MARKS = (WORD, DATE, TIME, NUMBER)
OF_KIND = {
  **dict.fromkeys("AE CS LO LT PN SH ST UC UR UT".split(), WORD),
  "DA": DATE,
  "DT": f"{DATE}{TIME}",
  "TM": TIME,
  "UI": f"1.2.3.{NUMBER}",
}
# What the pixels are read by, what the page keeps, and who it is.
LEFT = frozenset(
  "PhotometricInterpretation VOILUTFunction PixelPresentation RescaleType "
  "BurnedInAnnotation SpecificCharacterSet SOPClassUID Modality ViewPosition "
  "ImageLaterality Laterality InstitutionName PatientID "
  "StudyInstanceUID".split()
)


def marked_elements():
  """Returns a data set with every text element of the standard, marked."""
  found = pydicom.Dataset()
  for tag, (kind, _, _, _, name) in DicomDictionary.items():
    if tag >> 16 > 0x0007 and kind in OF_KIND and name not in LEFT:
      found.add_new(tag, kind, OF_KIND[kind])
  block = found.private_block(0x0011, f"{WORD} PRIVATE", create=True)
  block.add_new(1, "LO", WORD)
  block.add_new(2, "UN", WORD.encode())
  block.add_new(3, "SQ", dicom_hospital.item(PatientName=WORD))
  found.OtherPatientIDsSequence = dicom_hospital.item(PatientID=WORD)
  found.add_new((0x6000, 0x0010), "US", 8)
  found.add_new((0x6000, 0x1500), "LO", WORD)
  found.add_new((0xFFFC, 0xFFFC), "OB", WORD.encode())
  return found


def mark(folder):
  """Marks all files, their names and the list of labels."""
  elements = marked_elements()
  assert len(elements) > 1000
  for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
    ds = pydicom.dcmread(path)
    ds.PatientID = f"{WORD}{ds.PatientID}"
    ds.PatientName, ds.StudyDate = f"{WORD}^Jane", DATE
    ds.StudyInstanceUID = (
      f"1.2.3.{NUMBER}.{ds.StudyInstanceUID[-2:].strip('.')}"
    )
    if number % 20 == 0:
      ds.update(elements)
      ds.preamble = WORD.encode().ljust(128, b"\0")
      ds.file_meta.SourceApplicationEntityTitle = WORD
      ds.PixelData += WORD.encode()  # behind the picture
    if number == 20:
      as_jpeg(ds)
    ds.save_as(path)
    path.rename(path.with_name(f"{WORD}-{path.name}"))
  labels = folder.parent / "labels.csv"
  labels.write_text(labels.read_text().replace("H0", f"{WORD}H0"))


def as_jpeg(ds):
  gray = ds.pixel_array // 16
  file = io.BytesIO()
  Image.fromarray(gray.astype(np.uint8)).save(file, "JPEG", comment=WORD)
  ds.BitsAllocated = ds.BitsStored = 8
  ds.HighBit = 7
  ds.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
  ds.PixelData = encapsulate([file.getvalue()])
  ds["PixelData"].is_undefined_length = True


def forms(text):
  """Yields a mark as it may stand in a file."""
  for data in (
    text.encode(),
    text.encode("utf-16-le"),
    text.encode("utf-16-be"),
  ):
    yield data
    for before in range(3):  # base64's three phases; what depends on
      whole = base64.b64encode(b"\0" * before + data)  # neighbours is cut
      yield whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]


def marks_in(data):
  return [text for text in MARKS if any(form in data for form in forms(text))]


def commands():
  """The page's commands, and its Python, in their order."""
  blocks = re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(), re.S)
  for kind, text in blocks:
    if kind == "python":
      yield text
    else:
      yield from map(shlex.split, text.replace("\\\n", " ").splitlines())


def execute(command):
  if isinstance(command, str):
    exec(command, {})
    return
  assert command[0] == "python"
  if command[1] == "run.py":
    # Tracing takes longer than these few steps; a SavedModel is a trace.
    tf.config.run_functions_eagerly("--mode=export" not in command)
    flags.FLAGS.unparse_flags()
    assert run.main(run.parse(command[1:])) == run.DONE
  elif command[1:3] == ["-m", "data.build_tfrecords"]:
    assert build_tfrecords.main(command[2:]) == 0
  elif command[1:3] == ["-m", "data.inspect"]:
    assert inspect.main(command[2:]) == 0
  else:
    assert command[1] == "tests/dicom_hospital.py"
    folder = pathlib.Path(command[2])
    dicom_hospital.write(folder)
    mark(folder)


@pytest.mark.parametrize("text", MARKS)
def test_marks_are_found_in_every_form(text):
  for encoding in ("utf-8", "utf-16", "utf-16-be"):
    data = f"a {text} b".encode(encoding)
    assert text in marks_in(data)
    for before in (b"", b"1", b"12"):
      assert text in marks_in(base64.b64encode(before + data))
  assert not marks_in(b"nothing")


@pytest.mark.usefixtures("eagerly")
def test_the_page_runs_and_leaves_no_name_behind(tmp_path, monkeypatch, capfd):
  monkeypatch.chdir(tmp_path)
  for command in commands():
    execute(command)
  printed = "".join(capfd.readouterr())
  assert "40 patients, 40 studies, 80 images" in printed
  source = b"".join(p.read_bytes() for p in tmp_path.rglob("*.dcm"))
  assert set(marks_in(source)) == set(MARKS)
  assert not marks_in(printed.encode())
  with open("predictions.csv", newline="") as file:
    assert len(list(csv.DictReader(file))) == 80
  written = [pathlib.Path("RECORDS.inspect.html")]
  written += [
    path
    for folder in ("RECORDS", "RUN", "TUNED", "SERVING")
    for path in pathlib.Path(folder).rglob("*")
    if path.is_file()
  ]
  names = " ".join(map(str, written))
  for part in (
    "report.html",
    "metrics.json",
    "predictions.csv",
    "tfevents",
    "saved_model.pb",
    "dataset.json",
    "tfrecord",
  ):
    assert part in names
  assert not marks_in(names.encode())
  for path in written:
    assert not marks_in(path.read_bytes()), path
  images = [
    image
    for split in ("train", "validation", "test")
    for record in tf.data.TFRecordDataset(
      [str(path) for path in dataset_json.shard_paths("RECORDS", split)]
    )
    for image in bag_records.parse_bag(record, None)["image"].numpy()
  ]
  assert len(images) == 80
  for image in images:
    assert set(chunks(image)) == {b"IHDR", b"IDAT", b"IEND"}


def chunks(png):
  """The types of a PNG's chunks; nothing may stand behind the last one."""
  at = 8
  while at < len(png):
    length = int.from_bytes(png[at : at + 4], "big")
    yield png[at + 4 : at + 8]
    at += 12 + length
