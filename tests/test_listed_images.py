"""Images that a manifest lists for prediction: items, problems, identity."""

import dataclasses
import hashlib
import os
import pathlib

import dicom_files
import numpy as np
import pytest
from PIL import Image

from data.batches import listed_images
from data.views.file_views import FileViews
from data.views.geometry import ViewOptions

VIEWS = FileViews(ViewOptions(image_size=8), max_side=64)


@pytest.fixture
def options(tmp_path):
  """Options of a manifest of four images, two bag ids and two patients."""
  rows = ["image,patient_id,study"]
  for i, (patient, study) in enumerate(("a1", "b1", "a1", "a2")):
    Image.new("L", (9, 9), 50 * i).save(tmp_path / f"{i}.png")
    rows.append(f"{i}.png,{patient},{study}")
  (tmp_path / "m.csv").write_text("\n".join(rows))
  return listed_images.ListOptions(
    manifest=str(tmp_path / "m.csv"),
    image_root=str(tmp_path),
    image_column="image",
    patient_column=None,
    bag_column="study",
    on_bad_image="fail",
    unit="bag",
    eval_batch_size=3,
  )


def open_listed(options):
  """Returns the images, and what is wrong with manifest and images."""
  manifest, faults = listed_images.read_listed(options)
  return listed_images.check_listed(manifest, options, VIEWS, faults)


def opened(options, **changes):
  options = dataclasses.replace(options, **changes)
  images, problems = open_listed(options)
  assert not problems
  return images


def rows_of(images):
  return [[row.row for row in item.rows] for item in images.items]


def test_equal_bag_ids_of_two_patients_are_two_bags(options):
  assert rows_of(opened(options)) == [[2, 4], [3], [5]]
  assert rows_of(opened(options, bag_column=None)) == [[2, 4, 5], [3]]
  assert rows_of(opened(options, unit="image")) == [[2], [3], [4], [5]]


def test_without_patients_a_bag_is_a_bag(options, tmp_path):
  manifest = tmp_path / "m.csv"
  manifest.write_text(manifest.read_text().replace("patient_id", "ward"))
  assert rows_of(opened(options)) == [[2, 3, 4], [5]]


def test_views_come_with_their_positions(options):
  images = opened(options)
  found = [
    (int(position), int(view[0, 0, 0]))
    for positions, views in images.batches(1)
    for position, view in zip(positions, views)
  ]
  # In the order of the items: rows 2, 4; 3; 5.
  assert found == [(1, 100), (2, 50), (3, 150)]


def test_bags_are_other_ones_than_before_and_images_are_not(options):
  """So that what an earlier version began is resumed where it is the same."""
  root = os.path.realpath(options.image_root)
  for unit in ("image", "bag"):
    digest = hashlib.sha256(pathlib.Path(options.manifest).read_bytes())
    digest.update(repr((root, ("image", None, "study"), unit, VIEWS)).encode())
    same = opened(options, unit=unit).digest == digest.hexdigest()
    assert same == (unit == "image")


def test_the_manifest_is_checked_without_a_look_at_images(options, tmp_path):
  (tmp_path / "1.png").unlink()
  manifest, problems = listed_images.read_listed(options)
  assert not problems
  images, problems = listed_images.check_listed(manifest, options, VIEWS)
  assert images is None
  assert "row 3: " in problems[0]
  assert "--on_bad_image=skip" in problems[-1]
  skip = dataclasses.replace(options, on_bad_image="skip")
  images, problems = listed_images.check_listed(manifest, skip, VIEWS)
  assert not problems
  assert list(images.bad) == [2]
  assert np.concatenate([b[0] for b in images.batches()]).tolist() == [0, 1, 3]


def test_problems_of_manifest_and_images_come_together(options, tmp_path):
  text = (tmp_path / "m.csv").read_text()
  (tmp_path / "m.csv").write_text(text.replace("0.png,a,1", "0.png,,1"))
  pages = [Image.new("L", (9, 9), shade) for shade in (0, 99)]
  for kind, name in (("GIF", "1.png"), ("TIFF", "2.png")):
    pages[0].save(tmp_path / name, kind, save_all=True, append_images=pages[1:])
  (tmp_path / "3.png").write_bytes(bytes(128) + b"DICM")
  images, problems = open_listed(options)
  assert images is None
  told = "\n".join(problems)
  for expected in (
    "row 2: Expected a value in column 'patient_id'",
    "'1.png'. Received: it holds 2 pictures",
    "'2.png'. Received: it holds 2 pictures",
    "'3.png'. Received: it is a DICOM file",
  ):
    assert expected in told
  gone = dataclasses.replace(options, image_root=str(tmp_path / "none"))
  manifest, problems = listed_images.read_listed(gone)
  assert manifest is None
  assert len(problems) == 2


def test_dicom_frames_are_images_with_the_window_of_the_run(options, tmp_path):
  frames = dicom_files.noise(3, 9, 9, high=4000)
  cine = dicom_files.dataset(frames, 12, BurnedInAnnotation="YES")
  dicom_files.save(tmp_path / "3.png", cine)  # by what it holds, not its name
  views = dataclasses.replace(VIEWS, window="1000,2001")
  manifest, faults = listed_images.read_listed(options)
  image = dataclasses.replace(options, unit="image", eval_batch_size=9)
  images, _ = listed_images.check_listed(manifest, image, views, faults)
  assert [item.rows[0].image for item in images.items[3:]] == [
    f"3.png (frame {frame})" for frame in (1, 2, 3)
  ]
  assert "burned into the pixels" in " ".join(images.notes)
  (positions, found), *_ = images.batches(3)
  assert positions.tolist() == [3, 4, 5]
  for frame, view in zip(frames, found):
    gray = np.clip(frame / 2000 * 255 + 0.5, 0, 255).astype(np.uint8)
    png = tmp_path / "gray.png"
    Image.fromarray(gray).save(png)
    assert np.abs(view.astype(int) - VIEWS(png)).max() <= 1
  one = dataclasses.replace(options, frames="middle", bag_column=None)
  assert rows_of(opened(one)) == [[2, 4, 5], [3]]
  assert opened(one).items[0].rows[2].image == "3.png (frame 2)"
  assert rows_of(opened(options))[2] == [5, 5, 5]
  bad = dataclasses.replace(options, window="7")
  assert "--window" in str(listed_images.read_listed(bad)[1][0])
