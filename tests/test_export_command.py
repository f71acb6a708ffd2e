"""`run.py --mode=export` as its users see it: a server, and a notebook."""

import csv
import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

import run

SIZE = 40  # Above 32 pixels evaluation crops.

# Runs where there is TensorFlow and nothing else: no Addons, not this project.
_SERVER = """
import sys
sys.modules["tensorflow_addons"] = None
import numpy as np, pathlib, tensorflow as tf
for name in ("run", "tf_micle", "tensorflow_addons"):
  try:
    __import__(name)
  except ImportError:
    continue
  sys.exit(f"{name} is there")
version, photos, output = map(pathlib.Path, sys.argv[1:])
model = tf.saved_model.load(str(version))
names = sorted(photos.iterdir())
images = [name.read_bytes() for name in names]
owners = [name.name[0] for name in names]
call = {k: f for k, f in model.signatures.items()}
found = call["serving_default"](images=tf.constant(images))
patients = call["classify_patients"](
  images=tf.constant(images), patient_ids=tf.constant(owners))
embedded = call["embed"](images=tf.constant(images))
np.savez(output, **{k: v.numpy().astype(str) if v.dtype == tf.string
                    else v.numpy() for k, v in found.items()},
  patient_ids=patients["patient_ids"].numpy().astype(str),
  num_images=patients["num_images"],
  patients=patients["probabilities"],
  embed=embedded["embedding"])
try:
  call["serving_default"](images=tf.constant(images[:1] + [b"no image"]))
except tf.errors.InvalidArgumentError as error:
  print(error.message)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
  """Images of several sizes and formats; a name begins with its patient."""
  folder = tmp_path_factory.mktemp("photos")
  draw = np.random.default_rng(0)
  for place, kind in enumerate(("jpg", "png", "jpg", "png", "bmp", "gif")):
    pixels = draw.integers(0, 256, (50 + 300 * (place == 2), 90, 3), np.uint8)
    picture = Image.fromarray(pixels)
    if place == 3:
      picture.putalpha(Image.fromarray(pixels[..., 0]))
    exif = Image.Exif()
    exif[0x0112] = 6 if place < 2 else 1
    picture.save(folder / f"{'abcab'[place % 5]}{place}.{kind}", exif=exif)
  return folder


@pytest.fixture(scope="module")
def runs(demo_records, tmp_path_factory):
  """The runs encoder, image and bag, by name."""
  folder = tmp_path_factory.mktemp("runs")
  given = {"data_dir": demo_records, "train_steps": 1, "image_size": SIZE}
  assert tiny.command(**given, model_dir=folder / "encoder") == run.DONE
  for unit in ("image", "bag"):
    status = tiny.command(
      mode="finetune",
      optimizer="momentum",
      unit=unit,
      ft_proj_selector=int(unit == "bag"),
      model_dir=folder / unit,
      **given,
    )
    assert status == run.DONE
  return folder


@pytest.fixture(scope="module")
def serving(runs, tmp_path_factory):
  """A folder with an exported version 1 of each run, by name."""
  folder = tmp_path_factory.mktemp("serving")
  for name in ("encoder", "image", "bag"):
    assert export(runs / name, folder / name, max_side=200) == run.DONE
  return folder


def export(run_dir, export_dir, **changes):
  given = {
    "mode": "export",
    "model_dir": run_dir,
    "export_dir": export_dir,
  }
  return tiny.command(**{**given, **changes})


def predict(run_dir, photos, output):
  """Returns what --mode=predict says of the photographs: rows of a CSV."""
  manifest = output.with_suffix(".manifest.csv")
  names = sorted(path.name for path in photos.iterdir())
  lines = [f"{name},{name[0]}" for name in names]
  manifest.write_text("\n".join(["image,patient_id", *lines]))
  status = tiny.command(
    mode="predict",
    model_dir=run_dir,
    manifest=manifest,
    image_root=photos,
    output=output,
    embeddings=output.with_suffix(".npz"),
    max_side=200,
  )
  assert status == run.DONE
  with open(output, newline="") as file:
    return list(csv.DictReader(file))


def chances(rows):
  names = [name for name in rows[0] if name.startswith("probability_")]
  return np.array([[float(row[name]) for name in names] for row in rows])


def serve(version, photos, output):
  """Asks a model in a process of its own; returns answers, and its words."""
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  done = subprocess.run(
    [sys.executable, "-I", "-c", _SERVER, version, photos, output],
    cwd=output.parent,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return np.load(output), done.stdout


@pytest.mark.parametrize("unit", ["image", "bag"])
def test_a_server_says_what_predict_says(runs, serving, photos, tmp_path, unit):
  found, said = serve(serving / unit / "1", photos, tmp_path / "found.npz")
  rows = predict(runs / unit, photos, tmp_path / "out.csv")
  names = [
    name.removeprefix("probability_")
    for name in rows[0]
    if name.startswith("probability_")
  ]
  told = [
    [int(row[f"decision_{name}"] or -1) for name in names] for row in rows
  ]
  embeddings = np.load(tmp_path / "out.npz")["features"]
  if unit == "image":
    np.testing.assert_allclose(found["probabilities"], chances(rows), atol=1e-5)
    np.testing.assert_array_equal(found["decisions"], told)
    np.testing.assert_allclose(found["embedding"], embeddings, atol=1e-5)
    assert [row["top_class"] for row in rows] == list(
      found["top_classes"][:, 0]
    )
    order = np.argsort(-chances(rows), axis=1)[:, :5]
    assert found["top_classes"].tolist() == np.array(names)[order].tolist()
    owners = np.array([row["patient_id"] for row in rows])
    pooled = [
      chances(rows)[owners == patient].mean(axis=0)
      for patient in found["patient_ids"]
    ]
  else:
    pooled = chances(rows)
  assert found["patient_ids"].tolist() == ["a", "b", "c"]
  assert found["num_images"].tolist() == [3, 2, 1]
  np.testing.assert_allclose(found["patients"], pooled, atol=1e-5)
  np.testing.assert_allclose(found["embed"], found["embedding"], atol=1e-6)
  assert "Unknown image file format" in said


def test_saved_model_cli_runs_it(runs, serving, photos, tmp_path):
  # Files that end in a zero byte, as BMPs may, are not for NumPy's strings.
  kinds = [path.suffix in (".jpg", ".png") for path in sorted(photos.iterdir())]
  paths = np.array(sorted(photos.iterdir()))[kinds]
  np.save(tmp_path / "images.npy", np.array([p.read_bytes() for p in paths]))
  program = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
  subprocess.run(
    [
      *(program, "run", "--tag_set=serve", "--signature_def=serving_default"),
      f"--dir={serving / 'image' / '1'}",
      f"--inputs=images={tmp_path / 'images.npy'}",
      f"--outdir={tmp_path}",
    ],
    check=True,
    capture_output=True,
  )
  rows = predict(runs / "image", photos, tmp_path / "out.csv")
  np.testing.assert_allclose(
    np.load(tmp_path / "probabilities.npy"), chances(rows)[kinds], atol=1e-5
  )


def test_floats_are_taken_as_they_are(serving):
  model = tf.saved_model.load(str(serving / "image" / "1"))
  png = tf.io.encode_png(tf.fill((SIZE, SIZE, 3), tf.constant(51, tf.uint8)))
  encoded = model.signatures["serving_default"](images=png[None])
  floats = model.signatures["images"](images=tf.fill((1, SIZE, SIZE, 3), 0.2))
  for name, value in encoded.items():
    if value.dtype == tf.float32:
      np.testing.assert_allclose(floats[name], value, atol=1e-6)
  with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[0, 1\]"):
    model.signatures["images"](images=tf.fill((1, SIZE, SIZE, 3), 51.0))
  with pytest.raises(tf.errors.InvalidArgumentError, match="as many"):
    model.signatures["classify_patients"](
      images=png[None], patient_ids=tf.constant(["a", "b"])
    )


def test_an_encoder_is_a_feature_vector_that_can_be_tuned(serving, runs):
  version = serving / "encoder" / "1"
  model = tf.saved_model.load(str(version))
  assert list(model.signatures) == ["embed"]
  # An even number: with AVX-512, TensorFlow 2.15's gradient of a strided 1x1
  # convolution of fewer than 16 channels writes past its memory for odd ones.
  images = tf.random.stateless_uniform((4, SIZE, SIZE, 3), (0, 0))
  points = model(images, return_endpoints=True)
  # Two functions, two graphs: a processor may sum in another order.
  np.testing.assert_allclose(points["default"], model(images), rtol=1e-3)
  assert {"initial_conv", "block_group4", "final_avg_pool"} <= points.keys()
  moving = [v for v in model.variables if "moving" in v.name]
  before = [v.numpy() for v in moving]
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(model(images, training=True) ** 2)
  gradients = tape.gradient(loss, model.trainable_variables)
  assert all(gradient is not None for gradient in gradients)
  assert any((v.numpy() != b).any() for v, b in zip(moving, before))
  for variable, gradient in zip(model.trainable_variables, gradients):
    variable.assign_sub(1e-3 * gradient)
  assert tf.reduce_sum(model(images, training=True) ** 2) < loss


def test_warm_up_requests_are_what_a_server_reads(serving):
  for name in ("encoder", "image", "bag"):
    version = serving / name / "1"
    model = tf.saved_model.load(str(version))
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    asked = set()
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
      log = prediction_log_pb2.PredictionLog.FromString(record)
      log.DiscardUnknownFields()
      assert log.ByteSize() == len(record)
      request = log.predict_log.request
      assert request.model_spec.name == name
      asked.add(request.model_spec.signature_name)
      call = model.signatures[request.model_spec.signature_name]
      inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
      answers = call(**{k: tf.constant(v) for k, v in inputs.items()})
      assert all(
        np.isfinite(v).all() for v in answers.values() if v.dtype == tf.float32
      )
    assert asked == set(model.signatures)


def test_what_a_user_has_to_know_goes_with_it(serving, runs):
  assets = serving / "image" / "1" / "assets"
  names = (assets / "class_names.txt").read_text().splitlines()
  facts = json.loads((assets / "provenance.json").read_text())
  assert facts["run"]["class_names"] == names
  assert len(facts["checkpoint_sha256"]) == 64
  kept = runs / "image" / "operating_points.json"
  assert json.loads((assets / kept.name).read_text()) == json.loads(
    kept.read_text()
  )
  steps = json.loads((assets / "preprocessing.json").read_text())
  assert (steps["image_size"], steps["max_side"]) == (SIZE, 200)
  graph = (serving / "image" / "1" / "saved_model.pb").read_bytes()
  for path in (runs, serving):
    assert str(path).encode() not in graph
    assert str(path) not in json.dumps([facts, steps])


def test_versions_are_new_and_whole(
  runs, tmp_path, capsys, caplog, monkeypatch
):
  folder = tmp_path / "served"
  with caplog.at_level(logging.INFO):
    assert export(runs / "encoder", folder, export_version=7) == run.DONE
  assert f"Writing {folder / '7'}." in caplog.text
  for noise in ("unsupported characters", "Assets written", "fingerprint"):
    assert noise not in caplog.text
  files = sorted(path.name for path in (folder / "7").rglob("*"))
  assert export(runs / "encoder", folder, export_version=7) == run.BAD_USE
  assert "never written over" in capsys.readouterr().err
  # The disk may be full while files are written, or when they are flushed.
  for module, name in ((tf.saved_model, "save"), (os, "fsync")):
    with monkeypatch.context() as patch:
      patch.setattr(module, name, _disk_full)
      assert export(runs / "encoder", folder) == run.FAILED
    assert [path.name for path in folder.iterdir()] == ["7"]
  assert export(runs / "encoder", folder, warmup=False) == run.DONE
  assert sorted(path.name for path in folder.iterdir()) == ["7", "8"]
  assert not (folder / "8" / "assets.extra").exists()
  assert sorted(path.name for path in (folder / "7").rglob("*")) == files


def _disk_full(what, folder=None, **_):
  del what
  if folder:
    with open(os.path.join(folder, "saved_model.pb"), "w") as file:
      file.write("half")
  raise OSError(28, "No space left on device")


def test_all_that_is_wrong_is_said_at_once(tmp_path, capsys):
  assert export(tmp_path, None, use_micle=True, output="a") == run.BAD_USE
  printed = capsys.readouterr().err
  for part in ("--export_dir", "flags.json", "--use_micle", "--output"):
    assert part in printed
