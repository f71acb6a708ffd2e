"""`tf_micle.load`, and the page that shows it."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
import tiny
from PIL import Image

import run
import tf_micle
from data import file_views
from data.problems import DataError
from tf_micle.runs import checkpoint
from tf_micle.system.input_error import InputError

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(demo_records, tmp_path_factory):
  """A folder with photos/, and the runs RUN (pretrained), TUNED and BAGS."""
  folder = tmp_path_factory.mktemp("notebook")
  (folder / "photos").mkdir()
  draw = np.random.default_rng(0)
  for image in range(5):
    pixels = draw.integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photos" / f"{image}.png")
  given = {"data_dir": demo_records, "train_steps": 0}
  # A step, so that its weights are not those that a new network has.
  pretrained = {**given, "train_steps": 1, "model_dir": folder / "RUN"}
  assert tiny.command(**pretrained) == run.DONE
  for name, unit in (("TUNED", "image"), ("BAGS", "bag")):
    status = tiny.command(
      mode="finetune",
      optimizer="momentum",
      unit=unit,
      ft_proj_selector=int(unit == "bag"),
      model_dir=folder / name,
      **given,
    )
    assert status == run.DONE
  return folder


def test_the_page_runs(folder, monkeypatch):
  monkeypatch.chdir(folder)
  page = (ROOT / "docs" / "python.md").read_text()
  blocks = re.findall(r"```python\n(.*?)```", page, re.S)
  names = {}
  exec("\n".join(blocks), names)
  assert names["features"].shape[0] == 5
  assert names["places"][0][0] == 0  # The nearest of an image is itself.
  assert (folder / "mine.weights.h5").exists()


@pytest.mark.parametrize("name", ["TUNED", "BAGS"])
def test_the_keras_model_says_what_predict_says(folder, name):
  loaded = tf_micle.load(folder / name, file_views.of_run)
  paths = sorted((folder / "photos").iterdir())
  views = np.stack([loaded.preprocess(path) for path in paths])
  assert views.dtype == np.uint8
  said = loaded.predict(paths, batch_size=2)
  np.testing.assert_allclose(said, loaded.model(views), atol=1e-6)
  from_bytes = loaded.embed([path.read_bytes() for path in paths])
  np.testing.assert_allclose(from_bytes, loaded.embed(views), atol=1e-6)
  if name == "BAGS":
    bags = loaded.predict(paths, bags=["x", "y", "x", "x", "y"])
    pooled = loaded._classifier.bag_probabilities(
      loaded.embed(views[[0, 2, 3]])[None]
    )
    np.testing.assert_allclose(bags[:1], pooled, atol=1e-6)


def test_a_fault_of_the_preprocessing_is_not_an_image(folder):
  def preprocessing(flags):
    def broken(image):
      raise ValueError("shapes apart")

    return broken

  loaded = tf_micle.load(folder / "TUNED", preprocessing)
  with pytest.raises(ValueError, match="^shapes apart$"):
    loaded.embed([folder / "photos" / "0.png"])


def test_the_weights_are_the_runs(folder):
  """A pretrained run's encoder has what its checkpoint has."""
  loaded = tf_micle.load(folder / "RUN")
  reader = tf.train.load_checkpoint(checkpoint.find(str(folder / "RUN")))
  stored = [
    reader.get_tensor(name)
    for name in reader.get_variable_to_shape_map()
    if name.startswith("encoder/") and "OPTIMIZER_SLOT" not in name
  ]
  sums = sorted(float(np.abs(values).sum()) for values in stored)
  ours = sorted(float(np.abs(w).sum()) for w in loaded.encoder.get_weights())
  np.testing.assert_allclose(ours, sums, rtol=1e-5)


def test_mistakes_are_explained(folder, tmp_path):
  with pytest.raises(ValueError, match="flags.json"):
    tf_micle.load(tmp_path)
  loaded = tf_micle.load(folder / "RUN")
  with pytest.raises(ValueError, match="file_views"):
    loaded.embed([folder / "photos" / "0.png"])
  with pytest.raises(ValueError, match="fine-tuned"):
    loaded.predict(np.zeros((1, 16, 16, 3), np.uint8))
  tuned = tf_micle.load(folder / "TUNED")
  with pytest.raises(ValueError, match="unit=bag"):
    tuned.predict(np.zeros((1, 16, 16, 3), np.uint8), bags=["x"])


def test_what_is_no_list_of_images_is_said(folder, tmp_path):
  loaded = tf_micle.load(folder / "TUNED", file_views.of_run)
  good = folder / "photos" / "0.png"
  bad = tmp_path / "scan 7.png"
  bad.write_bytes(good.read_bytes()[:100])
  for images, message in (
    ([good, Image.open(good)], r"in images\[1\]. Received: .*PngImageFile"),
    ([None], r"Expected a path.*in images\[0\]. Received: None"),
    ([[good]], r"in images\[0\]. Received: an object of class list"),
    (None, "Expected a list of images. Received: None"),
    (good, "single one, '.*0.png'. Put it into a list"),
    (str(good), "single one, '.*0.png'"),
    (np.zeros((2, 16, 16, 3)), r"uint8 \(n, 16, 16, 3\).*float64 \(2, 16, 16"),
    (np.zeros((16, 16, 3), np.uint8), r"an array of uint8 \(16, 16, 3\)"),
    (np.zeros((2, 32, 32, 3), np.uint8), r"uint8 \(2, 32, 32, 3\)"),
    ([np.zeros((32, 32, 3), np.uint8)], r"uint8 \(1, 32, 32, 3\)"),
    (tf.zeros((2, 16, 16, 3)), "an array of float32"),
  ):
    for ask in (loaded.embed, loaded.predict):
      with pytest.raises(InputError, match=message):
        ask(images)
  with pytest.raises(InputError, match="Expected a path, or the bytes"):
    loaded.preprocess(None)
  for images, message in (
    ([good, bad], "'.*scan 7.png'.* Received: "),
    ([good, tmp_path / "none.png"], "'.*none.png'"),
    ([b"no image"], "Expected an image in bytes"),
  ):
    with pytest.raises(DataError, match=message):
      loaded.embed(images)
  paths = (folder / "photos").glob("*.png")  # No list, but a stream.
  assert loaded.embed(paths).shape[0] == 5
