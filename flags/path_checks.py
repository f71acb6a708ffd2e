"""Checks of files and folders that flags name."""

from __future__ import annotations

import itertools
import os

from flags.modes import ATLAS, USES_RUN

# Of a prediction of listed images; an atlas takes its images from records.
_LISTED = frozenset(
  "manifest image_root image_column patient_column bag_column max_side window "
  "frames on_bad_image output embeddings tensorboard_projector unit".split()
)


def inside(path, folder):
  """Whether a path is a folder, or in it."""
  path, folder = os.path.realpath(path), os.path.realpath(folder)
  return path == folder or path.startswith(folder + os.sep)


def model_dir(v, runs):
  """Returns a line for what is wrong with --model_dir, in a list."""
  path, expected = v["model_dir"], []
  if not path:
    expected.append("--model_dir, the folder of the run")
  elif v["mode"] in USES_RUN:
    if not os.path.isfile(os.path.join(path, runs.FLAGS)):
      any_run = v["mode"] == "export" or v["atlas"]
      kind = "run" if any_run else "fine-tuned run"
      expected.append(
        f"--model_dir to be the folder of a {kind}, with its {runs.FLAGS}"
      )
  elif os.path.exists(path) and not os.path.isdir(path):
    expected.append("--model_dir to be a folder, or a name that is free")
  reads = v["mode"] in ("export", "predict")
  if path and not expected and not reads and not writable(path):
    expected.append("--model_dir to be where this user may write")
  return [f"Expected {what}. Received: --model_dir={path}" for what in expected]


def atlas(v, given):
  """Says what is wrong with the flags of an atlas."""
  path, expected = v["atlas"], []
  if not path.endswith(".html"):
    expected.append("a file that ends in .html")
  if os.path.exists(path):
    expected.append("new: remove what is there, or name another")
  elif not writable(os.path.dirname(path) or "."):
    expected.append("where this user may write")
  found = [
    f"Expected --atlas to be {what}. Received: --atlas={path}"
    for what in expected
  ]
  others = given & _LISTED
  if others:
    found.append(
      "Expected --atlas alone: it shows records, the images of --eval_split of "
      "--data_dir. Received: " + ", ".join(f"--{n}" for n in sorted(others))
    )
  return found


def outputs(v, given):
  """Says what is wrong with the names of what prediction writes."""
  found = [
    f"Expected --{name} with --atlas only. Received: --{name}={v[name]}, "
    "--atlas=None"
    for name in sorted(given & set(ATLAS))
  ]
  endings = {"output": (".csv", ".parquet"), "embeddings": (".npz",)}
  for name, allowed in endings.items():
    path = v[name]
    wanted = name == "output" or path
    if wanted and not (path or "").endswith(allowed):
      found.append(
        f"Expected --{name}, a file that ends in {' or '.join(allowed)}. "
        f"Received: --{name}={path}"
      )
  for name in endings:
    if v[name] and not writable(os.path.dirname(v[name]) or "."):
      found.append(
        f"Expected --{name} to be where this user may write. "
        f"Received: --{name}={v[name]}"
      )
  name = "tensorboard_projector"
  if v[name] and not writable(v[name]):
    found.append(
      f"Expected --{name} to be a folder where this user may write. Received: "
      f"--{name}={v[name]}"
    )
  names = [name for name in (*endings, name) if v[name]]
  found += [
    f"Expected --{one} and --{other} to be apart. Received: "
    f"--{one}={v[one]}, --{other}={v[other]}"
    for one, other in itertools.permutations(names, 2)
    if one in endings and inside(v[other], v[one])
  ]
  return found


def writable(path):
  """Whether `path`, or the nearest folder above it that exists, is writable."""
  path = os.path.abspath(path)
  while not os.path.exists(path):
    path = os.path.dirname(path)
  return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)
