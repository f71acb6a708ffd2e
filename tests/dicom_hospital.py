"""A made-up hospital: DICOM files of 40 patients, and their labels.

  python tests/dicom_hospital.py hospital

writes hospital/ (two views a patient; of two sites, one of which has
MONOCHROME1 and no window) and labels.csv beside it.
"""

from __future__ import annotations

import csv
import pathlib
import sys

import numpy as np
from dicom_files import dataset, item, save

PATIENTS, HEIGHT, WIDTH = 40, 64, 48
VIEWS = ("CC", "MLO")


def pixels(draw, has_mass):
  """Returns tissue of 12 bits, with a bright disc where there is a mass."""
  rows, columns = np.mgrid[:HEIGHT, :WIDTH]
  tissue = draw.normal(1200, 150, (HEIGHT, WIDTH))
  if has_mass:
    y, x = draw.integers(16, HEIGHT - 16), draw.integers(12, WIDTH - 12)
    tissue += 1500 * ((rows - y) ** 2 + (columns - x) ** 2 < 64)
  return tissue.clip(0, 4095).astype(np.uint16)


def write(folder):
  draw = np.random.default_rng(0)
  labels = []
  for patient in range(PATIENTS):
    has_mass, site = patient % 4 == 1, patient % 2
    identity = f"H{patient:04d}"
    labels.append([identity, ("clear", "mass")[has_mass]])
    for place, view in enumerate(VIEWS):
      values = pixels(draw, has_mass)
      ds = dataset(values, 12)
      if site:
        ds.PhotometricInterpretation = "MONOCHROME1"
        ds.PixelData = (4095 - values).tobytes()
      else:
        ds.WindowCenter, ds.WindowWidth = 1800, 2600
      ds.PatientID, ds.PatientName = identity, f"Doe^Jane {patient}"
      ds.PatientBirthDate = f"19{patient + 10}0101"
      ds.StudyInstanceUID = f"1.2.826.0.1.3680043.10.1.{patient}"
      ds.SeriesInstanceUID = f"{ds.StudyInstanceUID}.{place}"
      ds.Modality, ds.ViewPosition, ds.ImageLaterality = "MG", view, "L"
      ds.InstitutionName = ("St. Mary", "City Clinic")[site]
      ds.OtherPatientIDsSequence = item(PatientID=identity)
      save(folder / identity / f"{view}.dcm", ds)
  (folder / "README.txt").write_text("Made up.\n")
  with open(folder.parent / "labels.csv", "w", newline="") as file:
    csv.writer(file).writerows([["patient_id", "label"], *labels])


if __name__ == "__main__":
  write(pathlib.Path(sys.argv[1]))
