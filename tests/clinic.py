"""A clinic's images, a model of them and the command that predicts them."""

from __future__ import annotations

import csv

import numpy as np
import tiny
from PIL import Image

import run
from data.builder import build

SIZE = 40  # Above 32 pixels evaluation crops.


def make(folder):
  """Writes images of all sorts, manifests, and records built from them."""
  draw = np.random.default_rng(0)
  rows = []
  for patient in range(8):
    split = ("train", "train", "validation", "test")[patient % 4]
    for image in range(3):
      pixels = draw.integers(0, 256, (60 + 9 * image, 90, 3), np.uint8)
      name = f"{patient}-{image}." + ("jpg", "png", "tiff")[image]
      exif = Image.Exif()
      exif[0x0112] = 6 if image == 1 else 1
      picture = Image.fromarray(pixels)
      if image == 1:
        picture.putalpha(Image.fromarray(pixels[..., 0]))
      if image == 2:
        deep = pixels[..., 0].astype(np.uint16) * 200
        picture = Image.fromarray(deep)
      picture.save(folder / name, exif=exif)
      rows.append([name, f"P {patient}", "ab"[patient // 4], split])
  order = draw.permutation(len(rows))
  write_manifest(folder / "labelled.csv", [rows[i] for i in order], 4)
  build.build(
    build.BuildOptions(
      str(folder / "labelled.csv"),
      str(folder),
      str(folder / "records"),
      max_side=100,
      workers=1,
    )
  )
  # The same rows at the same places, without labels.
  write_manifest(folder / "new.csv", [rows[i] for i in order], 2)
  return folder


def write_manifest(path, rows, columns):
  header = ["image", "patient_id", "label", "split"]
  with open(path, "w", newline="") as file:
    csv.writer(file).writerows(row[:columns] for row in [header, *rows])


def fine_tuned(clinic, folder, **changes):
  status = tiny.command(
    mode="finetune",
    optimizer="momentum",
    image_size=SIZE,
    data_dir=clinic / "records",
    model_dir=folder,
    **changes,
  )
  assert status == run.DONE
  return folder


def predictor(clinic, tuned, tmp_path):
  """Returns a function that predicts to tmp_path/out.csv, and its status."""

  def go(**changes):
    given = {
      "mode": "predict",
      "model_dir": tuned,
      "manifest": clinic / "new.csv",
      "image_root": clinic,
      "output": tmp_path / "out.csv",
      "eval_batch_size": 4,
      "image_size": None,  # The run knows.
    }
    return tiny.command(**{**given, **changes})

  return go


def read(path):
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


def already_stopped(self):
  """`StopSignal.__enter__` as if a signal came before the first batch."""
  self.requested = True
  return self
