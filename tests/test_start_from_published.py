"""Runs that start from published weights, as their user sees them."""

import json
import logging
import shutil

import numpy as np
import published
import pytest
import tensorflow as tf
import tiny
from build_site import Site

import run
import tf_micle
from tf_micle.encoder import heads, resnet
from tf_micle.runs import inspect

# The network comes from the weights.
UNSAID = dict.fromkeys(
  ["resnet_depth", "resnet_variant", "width_multiplier", "sk_ratio"]
  + ["proj_head_mode", "proj_out_dim", "num_proj_layers"]
)
pytestmark = pytest.mark.usefixtures("eagerly")


def weights(folder):
  """All that the newest checkpoint of a run holds, by key."""
  reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
  return {
    key: reader.get_tensor(key)
    for key in reader.get_variable_to_shape_map()
    if not key.startswith("_CHECKPOINTABLE") and "save_counter" not in key
  }


def flags_of(folder):
  return json.loads((folder / "flags.json").read_text())


def provenance_of(folder):
  return json.loads((folder / "provenance.json").read_text())


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
  path = tmp_path_factory.mktemp("weights") / "resnet.h5"
  published.network("keras", width=4, classes=7).save_weights(str(path))
  return path


@pytest.fixture(scope="module")
def simclr_file(tmp_path_factory):
  """A checkpoint of SimCLR's, with the parts of ours that it is of."""
  tf.keras.utils.set_random_seed(5)
  encoder = resnet.resnet(depth=18, width_multiplier=0.0625, small_stem=True)
  projection = heads.projection_head(32, mode="nonlinear", out_dim=16)
  logits = heads.linear_head(9)
  logits.build((None, 32))
  path = tmp_path_factory.mktemp("simclr") / "ckpt-12"
  return published.write_simclr(path, encoder, projection, logits)


@pytest.fixture
def command(demo_records, tmp_path):
  """Runs a mode into `tmp_path / name`; returns the status."""

  def go(name, mode="pretrain", **changes):
    given = {"model_dir": tmp_path / name, "mode": mode}
    if mode in ("pretrain", "finetune"):
      given.update(UNSAID, data_dir=demo_records, checkpoint_steps=1)
    if mode == "finetune":
      given["optimizer"] = "momentum"
    return tiny.command(**{**given, **changes})

  return go


def test_micle_from_imagenet_then_finetuned(
  command, keras_file, demo_records, tmp_path, caplog
):
  """The whole way; the variant is carried, and so is where it comes from."""
  start = tmp_path / "resnet.h5"
  shutil.copy(keras_file, start)
  told = {"use_micle": True, "checkpoint": start, "image_size": 40}
  with caplog.at_level(logging.INFO):
    assert command("micle", **told, train_steps=0) == run.DONE
  assert "318 of 327 variables" in caplog.text
  assert "projection_head is not there" in caplog.text
  assert "head of 7 classes is not taken" in caplog.text
  found = flags_of(tmp_path / "micle")
  assert found["resnet_variant"] == "keras"
  assert (found["resnet_depth"], found["width_multiplier"]) == (50, 1 / 16)
  before = weights(tmp_path / "micle")

  # Resumed to the bit, and without the file that it began from.
  start.unlink()
  assert command("micle", **told, train_steps=2) == run.DONE
  parts = tmp_path / "parts"
  shutil.copytree(tmp_path / "micle", parts)
  for path in (parts / "checkpoints").glob("ckpt-2*"):
    path.unlink()
  (parts / "checkpoints" / "checkpoint").unlink()
  assert command("parts", **told, train_steps=2) == run.DONE
  one, other = weights(tmp_path / "micle"), weights(parts)
  assert one.keys() == other.keys()
  for key, value in one.items():
    np.testing.assert_array_equal(other[key], value, err_msg=key)
  moved = [key for key in before if not np.array_equal(before[key], one[key])]
  assert any(key.startswith("encoder") for key in moved)
  (origin,) = provenance_of(parts)["started_from"]
  assert origin["format"] == "Keras ResNet, HDF5"
  assert origin["path"] == str(start)
  assert len(origin["sha256"]) == 64

  tuned = {"mode": "finetune", "checkpoint": tmp_path / "micle"}
  tuned.update(image_size=None, learning_rate=1e-3)
  assert command("tuned", **tuned) == run.DONE
  assert flags_of(tmp_path / "tuned")["resnet_variant"] == "keras"
  chain = provenance_of(tmp_path / "tuned")["started_from"]
  assert [one["parts"] for one in chain] == [["encoder"], ["encoder"]]
  assert command("tuned", "eval", eval_split="test") == run.DONE
  report = tmp_path / "tuned" / "eval" / "test" / "report.html"
  assert str(start) in report.read_text()
  assert origin["sha256"][:16] in report.read_text()
  loaded = tf_micle.load(tmp_path / "tuned")
  views = np.zeros((1, 40, 40, 3), np.uint8)
  names = [layer.name for layer in loaded.encoder.submodules]
  assert "input_normalisation" in names
  assert np.isfinite(loaded.embed(views)).all()
  serving = tmp_path / "serving"
  assert command("tuned", "export", export_dir=serving) == run.DONE
  assets = serving / "1" / "assets" / "provenance.json"
  exported = json.loads(assets.read_text())
  assert exported["run"]["started_from"] == chain
  assert exported["options"]["resnet_variant"] == "keras"


@pytest.mark.parametrize("parts", ["encoder_and_head", "encoder"])
def test_the_projection_head_is_taken_where_it_is_wanted(
  command, simclr_file, tmp_path, parts
):
  told = {"checkpoint": simclr_file, "checkpoint_parts": parts}
  assert command("run", **told, train_steps=0) == run.DONE
  found = weights(tmp_path / "run")
  reader = tf.train.load_checkpoint(simclr_file)
  value = "/.ATTRIBUTES/VARIABLE_VALUE"
  theirs = "model/_projection_head/linear_layers/1/dense/kernel" + value
  same = np.array_equal(
    found.get("projection_head/dense/1/kernel" + value, 0),
    reader.get_tensor(theirs),
  )
  assert same == (parts == "encoder_and_head")
  wide = flags_of(tmp_path / "run")["proj_out_dim"]
  assert wide == (16 if parts == "encoder_and_head" else 128)
  (origin,) = provenance_of(tmp_path / "run")["started_from"]
  assert ("projection_head" in origin["parts"]) == same


def test_flags_that_contradict_the_file_are_problems(
  command, keras_file, simclr_file, capsys
):
  told = {"resnet_depth": 18, "resnet_variant": "torch", "optimizer": "adamw"}
  assert command("run", checkpoint=keras_file, **told) == run.BAD_USE
  said = capsys.readouterr().err
  assert "--resnet_depth=50, --resnet_variant=keras. Received: " in said
  assert "Received: --resnet_depth=18, --resnet_variant=torch" in said
  assert "lars, momentum or adam" in said  # All problems at once.
  told = {"checkpoint": simclr_file, "proj_out_dim": 8}
  assert command("run", **told) == run.BAD_USE
  assert "--proj_out_dim=16. Received: --proj_out_dim=8" in (
    capsys.readouterr().err
  )
  told = {"sk_ratio": 0.0625, "resnet_variant": "keras"}
  assert command("run", **told) == run.BAD_USE
  assert "--resnet_variant=simclr only" in capsys.readouterr().err


def test_another_stem_is_a_problem_that_says_what_to_do(
  command, simclr_file, keras_file, tmp_path, capsys
):
  assert command("run", checkpoint=simclr_file, image_size=40) == run.BAD_USE
  assert "give --image_size=32 or less" in capsys.readouterr().err
  assert command("run", checkpoint=keras_file, image_size=16) == run.BAD_USE
  assert "give a larger --image_size" in capsys.readouterr().err
  assert not (tmp_path / "run" / "flags.json").exists()


def test_a_layer_of_a_head_that_is_not_there_is_not_finetuned(
  command, keras_file, capsys
):
  told = {"mode": "finetune", "checkpoint": keras_file, "image_size": 40}
  assert command("run", **told, ft_proj_selector=1) == run.BAD_USE
  assert "projection_head/dense0/kernel: expected" in capsys.readouterr().err
  told.update(checkpoint_parts="encoder", ft_proj_selector=1)
  assert command("run", **told) == run.BAD_USE
  assert "--checkpoint_parts=encoder_and_head" in capsys.readouterr().err


def test_a_pickle_is_refused_before_anything_is_imported(
  command, tmp_path, capsys
):
  path = tmp_path / "moco.pth"
  path.write_bytes(b"PK\x03\x04")
  assert command("run", checkpoint=path) == run.BAD_USE
  said = capsys.readouterr().err
  assert "convert it: python -c" in said
  assert "moco.safetensors" in said


def test_supervised_pretraining_is_the_other_first_stage(
  command, tmp_path, caplog
):
  """Its encoder starts a run of other classes, and MICLe."""
  network = {"resnet_depth": 18, "width_multiplier": 0.0625}
  assert command("source", "finetune", **network, train_steps=1) == run.DONE
  start = {"checkpoint": tmp_path / "source"}
  assert command("micle", use_micle=True, **start, train_steps=1) == run.DONE
  (tmp_path / "site").mkdir()
  site = Site(tmp_path / "site")
  rows = [[f"{k}.png", f"p{k // 2}", "ab"[k // 2 % 2]] for k in range(48)]
  site.write("image,patient_id,label", *rows)
  assert site.run() == 0
  told = {"mode": "finetune", "data_dir": site.output, "train_steps": 0}
  told.update(select_by="brier", image_size=None)
  with caplog.at_level(logging.INFO):
    assert command("other", **start, **told) == run.DONE
  assert "head of 5 classes is not taken" in caplog.text
  one, other = weights(tmp_path / "source"), weights(tmp_path / "other")
  for key, value in one.items():
    if key.startswith("encoder"):
      np.testing.assert_array_equal(other[key], value, err_msg=key)


def test_inspect_says_what_it_is(
  command, keras_file, simclr_file, tmp_path, capsys
):
  assert command("run", checkpoint=simclr_file, train_steps=1) == run.DONE
  told = {"mode": "finetune", "checkpoint": tmp_path / "run"}
  assert command("tuned", **told, train_steps=1) == run.DONE
  capsys.readouterr()

  def said(path):
    assert inspect.main(["inspect", str(path)]) == 0
    return capsys.readouterr().out

  text = said(keras_file)
  assert text.startswith("Keras ResNet, HDF5\n")
  for what in (
    "--resnet_depth=50 --resnet_variant=keras --width_multiplier=0.0625",
    "head 903",
    "more than 32 pixels",
    f"--mode=pretrain --use_micle --checkpoint={keras_file} --data_dir=RECORDS",
  ):
    assert what in text
  text = said(simclr_file)
  assert text.startswith("SimCLR checkpoint\n")
  for what in ("--proj_out_dim=16", "step          12", "classes       9"):
    assert what in text
  text = said(tmp_path / "run")
  assert text.startswith("Run of this program, pretrained (SimCLR)\n")
  for what in (
    "12 patients of",
    "best probe_accuracy",
    f"{simclr_file} (SimCLR checkpoint, SHA-256",
    "--resnet_depth=18",
  ):
    assert what in text
  assert "--hidden_norm" not in text  # It is the default.
  text = said(tmp_path / "tuned")
  assert text.startswith("Run of this program, fine-tuned\n")
  for what in ("best validation_mean_auroc", "16 pixels", "--mode=predict"):
    assert what in text
  assert inspect.main(["inspect", str(tmp_path / "nothing")]) == 2
  assert "in which there is no checkpoint" in capsys.readouterr().err
  assert inspect.main(["inspect"]) == 2
