"""Records that are damaged on disk: named, or counted and left out."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny
from PIL import Image

import run
from data.builder import build
from data.records import dataset_json
from data.sources import bag_source, damaged_records

PATIENTS = 150


@pytest.fixture(scope="module")
def many(tmp_path_factory):
  """A data set of 150 patients with an image or two, in several shards."""
  folder = tmp_path_factory.mktemp("many")
  rows = ["image,patient_id,label,split"]
  for patient in range(PATIENTS):
    for image in range(1 + patient % 2):
      name = f"{patient}-{image}.png"
      Image.new("RGB", (16, 16), (patient, image, 9)).save(folder / name)
      rows.append(f"{name},p{patient},{'ab'[patient % 2]},train")
  (folder / "manifest.csv").write_text("\n".join(rows))
  build.build(
    build.BuildOptions(
      str(folder / "manifest.csv"),
      str(folder),
      str(folder / "records"),
      workers=1,
      images_per_shard=50,
    )
  )
  return folder / "records"


@pytest.fixture
def records(many, tmp_path):
  """A copy of `many` to damage."""
  return pathlib.Path(shutil.copytree(many, tmp_path / "records"))


def shards(folder):
  return dataset_json.shard_paths(folder, "train")


def frames(path):
  """Returns (begin of the head, length) of each record of a shard."""
  content, begin, found = path.read_bytes(), 0, []
  while begin < len(content):
    length = int.from_bytes(content[begin : begin + 8], "little")
    found.append((begin, length))
    begin += 12 + length + 4
  return found


def flip(path, position):
  content = bytearray(path.read_bytes())
  content[position] ^= 4
  path.write_bytes(content)


def read(source):
  """The pseudonyms of a source's bags, in order."""
  bags = source.read(tf.constant(3, tf.int64))
  return [bag["bag_id"] for bag in bags.as_numpy_iterator()]


def test_one_damaged_record_is_left_out(records, caplog):
  sound = bag_source.bag_tfrecords(records, "train")
  expected = read(sound)
  path = shards(records)[1]
  begin, length = frames(path)[2]
  flip(path, begin + 12 + length // 2)
  with pytest.raises(tf.errors.DataLossError):
    read(bag_source.bag_tfrecords(records, "train"))
  source = bag_source.bag_tfrecords(records, "train", skip_damaged=True)
  assert f"{path}, record 2: its bytes do not match" in caplog.text
  assert f"1 of {PATIENTS} records" in caplog.text
  found = read(source)
  assert len(found) == source.num_bags == PATIENTS - 1
  assert set(found) < set(expected)
  images = source.read(tf.constant(0, tf.int64)).map(
    lambda bag: tf.size(bag["image"])
  )
  assert source.num_images == sum(images.as_numpy_iterator())
  assert source.digest != sound.digest


def test_sound_records_are_read_alike(records):
  plain = bag_source.bag_tfrecords(records, "train")
  checked = bag_source.bag_tfrecords(records, "train", skip_damaged=True)
  assert read(plain) == read(checked)
  assert plain.digest == checked.digest
  assert damaged_records.find(records, "train") == []


def spoil(path, how):
  """Damages a shard without changing its length; returns what is said."""
  places, content = frames(path), path.read_bytes()
  if how == "length":
    flip(path, places[0][0] + 3)
    return "record 0: its length is damaged"
  if how == "zeros":
    path.write_bytes(bytes(len(content)))
    return "not a TFRecord file"
  records = [content[begin + 12 :][:length] for begin, length in places]
  said = "record 0: it is no bag of images"
  if how == "other":
    records[0] = b"x" * len(records[0])
  else:
    bag = tf.train.Example.FromString(records[0])
    images = bag.features.feature["images/image"].bytes_list.value
    images[0] = b"?" * len(images[0])
    records[0] = bag.SerializeToString(deterministic=True)
    said = "record 0: an image in it cannot be decoded"
  with tf.io.TFRecordWriter(str(path)) as file:
    for record in records:
      file.write(record)
  return said


@pytest.mark.parametrize("how", ["length", "zeros", "other", "image"])
def test_pretraining_names_file_and_record(records, tmp_path, capsys, how):
  path = shards(records)[0]
  said = spoil(path, how)
  given = {"data_dir": records, "model_dir": tmp_path / "run"}
  status = tiny.command(
    **given, use_micle=True, lineareval_while_pretraining=False, train_steps=40
  )
  assert status == run.BAD_USE
  printed = capsys.readouterr().err
  assert str(path) in printed
  assert said in printed
  if how in ("image", "other"):  # One of 150 may be left out.
    return
  status = tiny.command(**given, use_micle=True, on_bad_record="skip")
  assert status == run.BAD_USE
  assert "at most 1% of the records" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["cut", "empty", "gone"])
def test_what_the_file_system_shows_is_said_before_training(
  records, tmp_path, capsys, how
):
  path = shards(records)[0]
  content = path.read_bytes()
  path.unlink()
  if how != "gone":
    path.write_bytes(content[: len(content) // 2] if how == "cut" else b"")
  status = tiny.command(data_dir=records, model_dir=tmp_path / "run")
  assert status == run.BAD_USE
  assert path.name in capsys.readouterr().err
  assert not (tmp_path / "run").exists()


def test_every_flipped_bit_is_found(records):
  """Wherever it is in a shard."""
  path = shards(records)[0]
  whole = path.read_bytes()
  for position in np.random.default_rng(0).integers(0, len(whole), 40):
    flip(path, position)
    assert damaged_records.find(records, "train")
    path.write_bytes(whole)
