"""Real label files read by their recipes, without images: counts and times.

  python benchmarks/label_files.py FOLDER

FOLDER is `torchxrayvision/data` of an unpacked wheel of torchxrayvision 1.5.7,
which carries label files of four sets.
"""

from __future__ import annotations

import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from data import build_tfrecords  # noqa: E402
from data.builder import recipes  # noqa: E402
from data.manifest.manifest import read_manifest  # noqa: E402

# What takes back the steps that want more than the label file.
_FILES = {
  "nih": ("Data_Entry_2017_v2020.csv.gz", "--image_folders="),
  "chexpert": ("chexpert_train.csv.gz", "--more_manifests="),
  "padchest": (
    "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz",
    "--image_folders=",
  ),
  "vindr_cxr": ("vinbigdata-train.csv.gz", "--image_folders="),
}


def read(folder: str, name: str):
  """Returns a `Manifest`, what a recipe makes of a set's file, and problems."""
  file, without = _FILES[name]
  values = build_tfrecords.define_flags()
  path = pathlib.Path(folder) / file
  values(["build", f"--recipe={name}", f"--manifest={path}", without])
  recipes.fill(values, build_tfrecords.define_flags)
  options = build_tfrecords.build_options(values)
  return read_manifest(path, options.columns(), options.reshape)


def main(folder: str) -> None:
  """Prints, for each set, what its recipe makes of the file."""
  for name in _FILES:
    start = time.perf_counter()
    manifest, problems = read(folder, name)
    seconds = time.perf_counter() - start
    patients = len({row.patient for row in manifest.rows})
    print(
      f"{name}: {len(manifest.rows):,} images of {patients:,} patients, "
      f"{len(problems)} problems, {seconds:.0f} s"
    )
    for place, finding in enumerate(manifest.class_names[:3]):
      cells = [row.label[place] for row in manifest.rows]
      unstated = sum(cell != cell for cell in cells)
      print(f"  {finding}: {cells.count(1):,} present, {unstated:,} not stated")


if __name__ == "__main__":
  main(sys.argv[1])
