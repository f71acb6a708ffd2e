"""From DICOM files to a manifest, records, and predictions."""

import csv
import gzip
import io
import os
import shutil
import subprocess
import sys

import build_site
import dicom_files
import numpy as np
import pytest
from dicom_files import dataset, noise
from PIL import Image

from data.build_tfrecords import main


def read(path):
  with open(path, newline="", encoding="utf-8") as file:
    return list(csv.DictReader(file))


@pytest.fixture
def hospital(tmp_path):
  folder = tmp_path / "hospital"
  for patient in "AB":
    for view, side in (("CC", "L"), ("MLO", "R")):
      ds = dataset(noise(24, 20, high=4000), 12, WindowCenter=1, WindowWidth=9)
      ds.PatientID, ds.ViewPosition = f"{patient} 1", view
      ds.StudyInstanceUID, ds.SeriesInstanceUID = f"1.{ord(patient)}", "1.2.3"
      ds.ImageLaterality, ds.InstitutionName = side, "St. Mary"
      ds.Modality = "MG"
      dicom_files.save(folder / patient / f"{view}.dcm", ds)
  cine = dataset(noise(5, 16, 18, high=256, kind=np.uint8))
  cine.PatientID, cine.StudyInstanceUID, cine.Modality = "C", "1.9", "US"
  cine.BurnedInAnnotation, cine.Laterality = "YES", "L"
  dicom_files.save(folder / "C" / "cine", cine)
  report = dataset(noise(4, 4))
  del report.PixelData
  dicom_files.save(folder / "C" / "report.dcm", report)
  (folder / "notes.txt").write_text("hello")
  return folder


def scan(hospital, *more):
  output = hospital.parent / "m.csv"
  flags = [f"--from_dicom={hospital}", f"--output={output}", *more]
  return main(["build_tfrecords", *flags]), output


def built(hospital, output, **flags):
  """Builds the folder; the status, and pixels and rows of the images."""
  site = build_site.Site(hospital.parent)
  site.images = hospital
  given = {"manifest": output, "split_fractions": "train=1", **flags}
  status = site.run(**given)
  if status:
    return status, None
  images = [
    (int(row), np.asarray(Image.open(io.BytesIO(image))))
    for bag in site.bags("train")
    for row, image in zip(bag["row"], bag["image"])
  ]
  return status, images


def test_folder_to_manifest_to_records(hospital, capsys):
  shutil.copy(hospital / "C" / "cine", os.fsencode(hospital) + b"/M\xfc.dcm")
  status, output = scan(hospital)
  assert status == 0
  printed = capsys.readouterr().out
  assert "3 patients, 3 studies, 5 images, 9 frames" in printed
  assert "1 file left out: not DICOM" in printed
  assert "1 file left out: it is a DICOM file without an image" in printed
  assert "1 file left out: its name is not UTF-8: rename it" in printed
  rows = read(output)
  assert rows[0] == {
    "image": "A/CC.dcm",
    "patient_id": "A 1",
    "study": "1.65",
    "series": "1.2.3",
    "modality": "MG",
    "view": "CC",
    "laterality": "L",
    "site": "St. Mary",
    "number_of_frames": "1",
  }
  cine = rows[-1]
  assert (cine["image"], cine["number_of_frames"]) == ("C/cine", "5")
  assert (cine["laterality"], cine["view"]) == ("L", "")
  assert output.stat().st_mode & 0o077 == 0
  status, images = built(hospital, output, metadata_columns="view,laterality")
  assert status == 0
  told = capsys.readouterr().out
  assert "1 row of DICOM files with several frames gave 5 images" in told
  assert "1 DICOM file with annotation burned into the pixels" in told
  assert "Row 6." in told
  frames = noise(5, 16, 18, high=256)
  shown = [pixels for row, pixels in images if row == 6]
  np.testing.assert_array_equal(shown, frames)
  assert [row for row, _ in images].count(2) == 1


def test_frames_that_are_asked_for(hospital, capsys):
  _, output = scan(hospital)
  frames = noise(5, 16, 18, high=256)
  _, images = built(hospital, output, frames="middle")
  np.testing.assert_array_equal(dict(images)[6], frames[2])
  rows = read(output)
  for row in rows:
    row["which"] = ""
  rows[-1]["which"] = "2"
  rows.append({**rows[-1], "which": "5.0"})
  chosen = hospital.parent / "chosen.csv"
  write(chosen, rows)
  (hospital.parent / "out").rename(hospital.parent / "before")
  _, images = built(hospital, chosen, frames="which")
  assert len(images) == 6
  np.testing.assert_array_equal(dict(images)[6], frames[1])
  np.testing.assert_array_equal(dict(images)[7], frames[4])
  rows[0]["which"], rows[-1]["which"], rows[-2]["which"] = "two", "6", "1"
  rows.append({**rows[-2], "which": "01"})
  write(chosen, rows)
  (hospital.parent / "out").rename(hospital.parent / "before2")
  capsys.readouterr()
  assert built(hospital, chosen, frames="which")[0] == 2
  told = capsys.readouterr().err
  assert "row 2: Expected a frame's number from 1" in told
  assert "row 7: Expected one of the 5 frames of 'C/cine'" in told
  assert "row 8: Expected each image once" in told


def write(path, rows):
  with open(path, "w", newline="") as file:
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


def test_what_cannot_be_scanned_is_told(hospital, capsys):
  for name in ("A", "B"):
    (hospital.parent / "empty" / name).mkdir(parents=True)
  (hospital.parent / "empty" / "x.png").write_bytes(b"no")
  assert scan(hospital.parent / "empty")[0] == 2
  assert scan(hospital)[0] == 0
  before = (hospital.parent / "m.csv").read_bytes()
  assert scan(hospital)[0] == 2
  assert (hospital.parent / "m.csv").read_bytes() == before
  assert scan(hospital, "--seed=1")[0] == 2
  assert scan(hospital.parent / "none")[0] == 2
  assert main(["build_tfrecords", "--output=m.csv"]) == 2
  told = capsys.readouterr().err
  assert "Received: none in 1 file." in told
  assert "which may have been edited" in told
  assert "Received: --seed" in told
  assert "which is none" in told
  assert "Expected --from_dicom with it" in told


@pytest.mark.parametrize("window", ["", "no", "1", "1,1", "1,nan", "1,2,3"])
def test_bad_window_is_told(hospital, window, capsys):
  _, output = scan(hospital)
  assert built(hospital, output, window=window)[0] == 2
  assert "--window: Expected dicom, percentiles, or" in capsys.readouterr().err


def test_pydicom_is_imported_for_dicom_only():
  program = (
    "import sys; sys.modules['pydicom'] = None\n"
    "from data.build_tfrecords import main\n"
    "from data.images import image_bytes\n"
    "from data.builder import dicom_folder, writing\n"
  )
  subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
  ("name", "data", "reason"),
  [
    ("a.nii", bytes(344) + b"n+1\0" + bytes(99), "a NIfTI volume"),
    ("a.nii.gz", None, "a NIfTI volume"),
    ("a.dcm", bytes.fromhex("308006092a864886f70d010703a080"), "is encrypted"),
  ],
)
def test_what_is_like_dicom_is_refused_with_advice(
  hospital, name, data, reason, capsys
):
  if data is None:
    data = gzip.compress(bytes(344) + b"n+1\0" + bytes(9999))
  (hospital / name).write_bytes(data)
  manifest = hospital.parent / "m.csv"
  write(manifest, [{"image": name, "patient_id": "1"}])
  assert built(hospital, manifest)[0] == 2
  assert reason in capsys.readouterr().err
