"""Tests of the demo data: what is written, and that a seed decides it."""

from __future__ import annotations

import collections
import concurrent.futures
import csv
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from data.demo import __main__ as demo_command
from data.demo import dataset as demo_dataset
from data.demo import lesions, photographs
from data.demo.photographs import IMAGE_SIDE
from data.problems import DataError
from data.records import dataset_json

PATIENTS = {"train": 20, "validation": 1, "test": 2, "external": 6}


def _rows(manifest):
  with open(manifest, newline="") as file:
    return list(csv.DictReader(file))


def _files(folder):
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.rglob("*")
    if path.is_file()
  }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("demo")
  demo_dataset.write_demo(folder, seed=3, patients=PATIENTS)
  return folder


@pytest.fixture(scope="module")
def rows(folder):
  return _rows(folder / "manifest.csv")


def test_returns_the_manifest_with_its_columns(tmp_path):
  manifest = demo_dataset.write_demo(
    tmp_path / "new" / "demo", patients={"test": 1}
  )
  assert manifest == str(tmp_path / "new" / "demo" / "manifest.csv")
  with open(manifest) as file:
    header = file.readline()
  assert header == "image,patient_id,label,split,clinic,skin\n"


def test_manifest_names_each_file_once(folder, rows):
  images = [row["image"] for row in rows]
  assert len(set(images)) == len(images)
  assert {*images, "manifest.csv"} == set(_files(folder))


def test_same_seed_same_bytes(tmp_path):
  for name in ("a", "b"):
    demo_dataset.write_demo(
      tmp_path / name, patients={"test": 2, "external": 1}
    )
  assert _files(tmp_path / "a") == _files(tmp_path / "b")


def test_other_seed_other_images(folder, tmp_path):
  demo_dataset.write_demo(tmp_path, seed=4, patients={"test": 2})
  ours, other = _files(folder), _files(tmp_path)
  shared = [name for name in other if name in ours and name.endswith(".jpg")]
  assert shared
  assert all(ours[name] != other[name] for name in shared)


def test_a_patient_does_not_depend_on_the_others(folder, tmp_path):
  demo_dataset.write_demo(
    tmp_path, seed=3, patients={"external": 2, "train": 3}
  )
  fewer = {k: v for k, v in _files(tmp_path).items() if k.endswith(".jpg")}
  assert fewer.items() <= _files(folder).items()


def test_no_two_images_are_equal(folder):
  files = _files(folder)
  assert len(set(files.values())) == len(files)


def test_each_patient_has_one_split_label_and_clinic(rows):
  facts = collections.defaultdict(set)
  for row in rows:
    facts[row["patient_id"]].add((row["split"], row["label"], row["clinic"]))
  assert all(len(fact) == 1 for fact in facts.values())
  splits = collections.Counter(
    split for ((split, _, _),) in map(tuple, facts.values())
  )
  assert splits == PATIENTS


def test_clinic_is_another_one_for_external_only(rows):
  clinics = {(row["split"], row["clinic"]) for row in rows}
  assert clinics == {
    ("train", "home"),
    ("validation", "home"),
    ("test", "home"),
    ("external", "external"),
  }


def test_bags_hold_one_to_six_images(rows):
  sizes = collections.Counter(row["patient_id"] for row in rows).values()
  assert min(sizes) == 1
  assert max(sizes) == 6


def test_every_twenty_patients_hold_all_conditions(rows):
  labels = {
    row["patient_id"]: row["label"] for row in rows if row["split"] == "train"
  }
  counts = collections.Counter(labels.values())
  assert set(counts) == set(lesions.CONDITIONS)
  assert sorted(counts.values()) == [2, 3, 3, 4, 4, 4]


def test_default_sizes():
  assert demo_dataset.PATIENTS == {
    "train": 400,
    "validation": 100,
    "test": 120,
    "external": 120,
  }


def test_images_are_readable_rgb_jpegs(folder, rows):
  for row in rows:
    with Image.open(folder / row["image"]) as image:
      image.load()
      assert image.format == "JPEG"
      assert image.mode == "RGB"
      assert image.size == (
        IMAGE_SIDE,
        IMAGE_SIDE,
      )


def test_external_clinic_is_darker_and_bluer(folder, rows):
  colours = collections.defaultdict(list)  # (3,) an image, in [0, 255]
  for row in rows:
    with Image.open(folder / row["image"]) as image:
      colours[row["clinic"]].append(np.asarray(image).mean((0, 1)))
  home, external = (
    np.mean(colours[clinic], 0) for clinic in ("home", "external")
  )
  assert external.mean() < 0.8 * home.mean()
  assert external[2] / external[0] > 1.1 * home[2] / home[0]


@pytest.mark.parametrize("condition", list(lesions.CONDITIONS))
def test_lesion_shows_against_the_skin(condition):
  rng = np.random.default_rng(0)
  y, x = np.mgrid[-1.2:1.2:49j, -1.2:1.2:49j]
  for _ in range(8):
    lesion = lesions.draw_lesion(condition, rng)
    area = (lesion.outline(x, y) > 0).mean()
    assert 0.08 < area < 0.6
    texture = lesion.texture(x, y)
    assert texture.shape == x.shape
    assert texture.min() >= 0


@pytest.mark.parametrize("nuisance", photographs.NUISANCES)
def test_nuisances_are_image_to_image(nuisance):
  image = np.full((IMAGE_SIDE, IMAGE_SIDE, 3), 0.5)
  results = [
    nuisance(image, photographs.HOME, np.random.default_rng(seed))
    for seed in (0, 0, *range(1, 9))
  ]
  assert all(result.shape == image.shape for result in results)
  np.testing.assert_array_equal(results[0], results[1])
  assert (image == 0.5).all()  # Not changed in place.


@pytest.mark.parametrize("hairs", [0, 1, 6])
def test_any_number_of_hairs(hairs):
  clinic = photographs.Clinic("any", hairs=(hairs, hairs))
  image = np.full((IMAGE_SIDE, IMAGE_SIDE, 3), 0.5)
  changed = (
    photographs.add_hairs(image, clinic, np.random.default_rng(0)) != image
  )
  assert changed.any() == (hairs > 0)


@pytest.mark.parametrize(
  ("bad", "expected"),
  [
    ({"seed": -1}, "seed of 0 or more"),
    ({"patients": {"tset": 3}}, "tset"),
    ({"patients": {"test": -3}}, "-3"),
  ],
)
def test_bad_use_says_what_came(tmp_path, bad, expected):
  with pytest.raises(ValueError, match=expected):
    demo_dataset.write_demo(tmp_path / "demo", **bad)
  assert not (tmp_path / "demo").exists()


def test_does_not_overwrite(folder):
  before = _files(folder)
  with pytest.raises(DataError, match="manifest.csv"):
    demo_dataset.write_demo(folder, seed=5, patients={"test": 1})
  assert _files(folder) == before


def test_no_manifest_after_an_interruption(tmp_path, monkeypatch):
  monkeypatch.setattr(photographs, "NUISANCES", (None,))
  with pytest.raises(TypeError):
    demo_dataset.write_demo(tmp_path, patients={"test": 1})
  assert not (tmp_path / "manifest.csv").exists()


def test_no_half_a_manifest_on_a_full_disk(tmp_path, monkeypatch):
  def full(descriptor):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(demo_dataset.os, "fsync", full)
  with pytest.raises(OSError, match="No space"):
    demo_dataset.write_demo(tmp_path, patients={"test": 1})
  assert not list(tmp_path.glob("manifest*"))


def test_records_are_the_same_everywhere(tmp_path, monkeypatch):
  """And where two commands make them at once."""
  monkeypatch.setattr(demo_dataset, "PATIENTS", {"train": 6, "test": 2})
  folders = [tmp_path / place / "records" for place in ("a", "b", "b")]
  with concurrent.futures.ThreadPoolExecutor(3) as pool:
    assert list(pool.map(demo_dataset.demo_records, folders)) == [
      str(folder) for folder in folders
    ]
  assert _files(tmp_path / "a") == _files(tmp_path / "b")
  metadata = dataset_json.load(tmp_path / "a" / "records").metadata
  assert metadata["clinic"] == ("home",)
  assert set(metadata["skin"]) <= {"dark", "medium", "light"}


def test_command_line_writes_and_names_the_next_command(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(demo_dataset, "PATIENTS", {"train": 1, "test": 1})
  folder = tmp_path / "my demo"
  assert demo_command.main(["demo", f"--output_dir={folder}", "--seed=2"]) == 0
  splits = {row["split"] for row in _rows(folder / "manifest.csv")}
  assert splits == {"train", "test"}
  (command,) = re.findall("python .*", capsys.readouterr().out)
  assert shlex.split(command)[2:] == [
    "data.build_tfrecords",
    f"--manifest={folder}/manifest.csv",
    f"--image_root={folder}",
    "--output_dir=RECORDS",
  ]
  assert demo_command.main(["demo", f"--output_dir={folder}"]) == 2
  assert "name another folder" in capsys.readouterr().err


def test_command_line_says_where_it_may_not_write(capsys):
  assert demo_command.main(["demo", "--output_dir=/dev/null/demo"]) == 1
  assert "The system refused '/dev/null/demo" in capsys.readouterr().err


@pytest.mark.parametrize(
  "arguments", [[], ["--output_dir=x", "y"], ["--no_such"], ["--seed=-1"]]
)
def test_command_line_bad_use(arguments, capsys):
  assert demo_command.main(["demo", *arguments]) == 2
  assert "data.demo:" in capsys.readouterr().err


def test_command_line_help():
  result = subprocess.run(
    [sys.executable, "-m", "data.demo", "--help"],
    capture_output=True,
    text=True,
    check=True,
  )
  assert "--output_dir" in result.stdout
