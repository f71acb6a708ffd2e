"""The demo's data: synthetic, several views a patient, fixed by a seed.

Skin lesions photographed by hand. A patient has one condition and 1 to 6
photographs, each of another of the patient's lesions. The condition (the label)
is a family of outlines and textures; a lesion is one member of it. What else
differs between the photographs of a patient (pose, light, skin tone and lesion
colour as seen under that light, hairs, camera) says nothing about the
condition, and most of it is not undone by SimCLR's augmentations. So pairs of
distinct photographs (MICLe) teach invariances that two views of one photograph
(SimCLR) do not.

The `external` split comes from another clinic, with shifted nuisances.

The result is images plus a manifest, for the same builder as anybody's data:

  python -m data.demo --output_dir=DEMO
  python -m data.build_tfrecords --manifest=DEMO/manifest.csv \
      --image_root=DEMO --output_dir=RECORDS
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
from collections.abc import Mapping

import numpy as np

from data.builder import build
from data.demo.lesions import CONDITIONS, draw_lesion
from data.demo.photographs import EXTERNAL, HOME, Photograph, photograph
from data.manifest import pseudonyms
from data.problems import DataError

# Where run.py keeps the demo's records.
RECORDS = os.path.join("runs", "demo-data")
MAX_IMAGES = 6  # A patient has 1 to 6 images, uniformly: 3.5 on average.
PATIENTS = {"train": 400, "validation": 100, "test": 120, "external": 120}
METADATA_COLUMNS = ("clinic", "skin")
MANIFEST_COLUMNS = ("image", "patient_id", "label", "split", *METADATA_COLUMNS)
# The patients are invented, so their key is no secret; with one that is fixed
# the demo's records are the same everywhere, and so are its runs.
_ID_KEY = "d0" * 32

CLINICS = {"external": EXTERNAL}  # Splits not named here are HOME's.

# Of every 20 patients in a row, how many have each condition.
_PREVALENCE = (4, 4, 4, 3, 3, 2)
_CONDITION_CYCLE = np.repeat(list(CONDITIONS), _PREVALENCE)


def draw_patient(
  split: str, index: int, seed: int
) -> tuple[str, list[Photograph]]:
  """The condition and photographs of one patient, whatever the others are."""
  rng = np.random.default_rng([seed, list(PATIENTS).index(split), index])
  condition = _CONDITION_CYCLE[index * 7 % len(_CONDITION_CYCLE)]
  clinic = CLINICS.get(split, HOME)
  count = rng.integers(1, MAX_IMAGES + 1)
  images = [
    photograph(draw_lesion(condition, rng), clinic, rng) for _ in range(count)
  ]
  return condition, images


def write_demo(
  output_dir: str | os.PathLike,
  *,
  seed: int = 0,
  patients: Mapping[str, int] | None = None,
) -> str:
  """Writes the demo's images and, last, its manifest.

  Args:
    output_dir: Folder to write `images/*.jpg` and `manifest.csv` in; the
      manifest's `image` column is relative to it. Made if missing.
    seed: A whole number from 0. The same seed gives the same files.
    patients: Number of patients of each split; PATIENTS by default. A patient
      does not depend on the number of the others.

  Returns:
    The manifest's path.

  Raises:
    ValueError: The seed or a number of patients is out of range, or a split
      is unknown.
    DataError: There is a manifest already.
    OSError: The folder cannot be written.
  """
  patients = PATIENTS if patients is None else patients
  if seed < 0:
    raise ValueError(f"Expected a seed of 0 or more. Received: seed={seed}")
  if (
    not set(patients) <= set(PATIENTS) or min(patients.values(), default=0) < 0
  ):
    raise ValueError(
      f"Expected patients to map some of {list(PATIENTS)} to 0 or more. "
      f"Received: patients={dict(patients)}"
    )
  manifest = os.path.join(output_dir, "manifest.csv")
  if os.path.exists(manifest):
    raise DataError(
      f"Expected a folder without a manifest. Received: {manifest!r}: name "
      "another folder, or remove it."
    )
  os.makedirs(os.path.join(output_dir, "images"), exist_ok=True)
  table = io.StringIO()
  rows = csv.writer(table, lineterminator="\n")
  rows.writerow(MANIFEST_COLUMNS)
  for split, count in patients.items():
    clinic = CLINICS.get(split, HOME).name
    for i in range(count):
      patient_id = f"{split}-{i:04d}"
      condition, images = draw_patient(split, i, seed)
      for j, image in enumerate(images):
        name = f"images/{patient_id}-{j}.jpg"
        with open(os.path.join(output_dir, name), "wb") as file:
          file.write(image.jpeg)
        rows.writerow([name, patient_id, condition, split, clinic, image.skin])
  _write_whole(manifest, table.getvalue())  # Where it is, all images are.
  return manifest


def _write_whole(path: str, text: str) -> None:
  """Writes a file that is there complete, and on the disk, or not at all."""
  partial = f"{path}.partial"
  try:
    with open(partial, "w", encoding="utf-8", newline="") as file:
      file.write(text)
      file.flush()
      os.fsync(file.fileno())
    os.replace(partial, path)
  except BaseException:
    with contextlib.suppress(FileNotFoundError):
      os.remove(partial)
    raise


def demo_records(output_dir: str | os.PathLike) -> str:
  """Makes the demo's images and, from them, its bag TFRecords, once.

  Of several processes one makes them, and the others wait for it.

  Args:
    output_dir: Folder of the records; the images are made beside it. What is
      there already is left as it is.

  Returns:
    The folder of the records.
  """
  records, images = os.fspath(output_dir), f"{output_dir}-images"
  if os.path.exists(records):
    return records
  with _alone(f"{records}.lock"):
    manifest = os.path.join(images, "manifest.csv")
    if not os.path.exists(manifest) and not os.path.exists(records):
      write_demo(images)
    if not os.path.exists(records):
      options = build.BuildOptions(
        manifest, images, records, metadata_columns=METADATA_COLUMNS
      )
      options.key_path.unlink(missing_ok=True)
      pseudonyms.write_key(options.key_path, bytes.fromhex(_ID_KEY))
      build.build(options, show_progress=True)
  return records


@contextlib.contextmanager
def _alone(path):
  """Waits until no other process holds the file; one that ended holds none."""
  os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
  with open(path, "w", encoding="utf-8") as file:
    with contextlib.suppress(OSError):  # A file system without locks.
      fcntl.flock(file, fcntl.LOCK_EX)
    yield
