"""Records that `python -m data.build_tfrecords` writes, and what it prints."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from build_site import Site, patients, write_images

from data.builder import conversion
from data.records import cohort, dataset_json
from data.sources import bag_source, image_table


@pytest.fixture
def site(tmp_path):
  return Site(tmp_path)


def test_multi_class_build(site, capsys):
  site.write("image,patient_id,label", *patients(20))
  assert site.run() == 0
  description = dataset_json.load(site.output)
  assert description.name == "out"
  assert description.task == "multi_class"
  assert description.class_names == ("label0", "label1")
  assert description.image_sizes == dataset_json.ImageSizes(12, 12, 8, 8)
  sizes = {n: s.patients for n, s in description.splits.items()}
  assert sizes == {"train": 16, "validation": 2, "test": 2}
  train = description.splits["train"]
  assert train.label_counts == {"label0": 16, "label1": 16}
  assert (train.bags, train.images, train.labelled_images) == (16, 32, 32)
  assert train.bag_sizes == {2: 16}
  assert train.shards == 8
  rows = []
  for split in description.splits:
    bags = site.bags(split)
    digest = dataset_json.patient_digest(
      {bag["patient_id"].decode() for bag in bags}
    )
    assert digest == description.splits[split].patient_digest
    for bag in bags:
      assert bag["patient_key"] == int(bag["patient_id"][:16], 16) >> 1
      for row, label, image in zip(bag["row"], bag["label"], bag["image"]):
        rows.append(row)
        assert label == (row - 2) // 2 % 2
        pixel = tf.io.decode_image(image, channels=3)[0, 0, 0]
        assert pixel == row - 2
  assert sorted(rows) == list(range(2, 42))
  printed = capsys.readouterr().out
  assert "train: 16 patients, 16 bags, 32 images, 32 labelled" in printed
  assert "patients were drawn to train=0.8" in printed
  assert "never share it" in printed
  assert f"--mode=pretrain --use_micle --data_dir={site.output}" in printed


def test_tfds_reads_the_folder(site):
  site.write("image,patient_id,label", *patients(10), ["x/y.png", "p", ""])
  assert site.run(split_fractions="train=1", seed=3) == 0
  builder = tfds.builder_from_directory(site.output)
  assert builder.info.splits["train"].num_examples == 11
  assert builder.info.features["images"]["label"].names == ["label0", "label1"]
  bags = list(builder.as_dataset(split="train").as_numpy_iterator())
  assert len(bags) == 11
  assert {len(bag["images"]["row"]) for bag in bags} == {1, 2}
  labels = {label for bag in bags for label in bag["images"]["label"]}
  assert labels == {0, 1, -1}
  images = list(builder.as_dataset(split="train[:1]"))[0]["images"]["image"]
  assert images.shape[1:] == (8, 12, 3)


def test_metadata_columns_are_kept_as_they_are(site):
  site.write(
    "image,patient_id,site,view name",
    ["a.png", "p1", "north", " oblique  left "],
    ["b.png", "p1", "south", "NA"],
    ["c.png", "p2", "north", ""],
  )
  columns = "site,view name"
  assert site.run(metadata_columns=columns, split_fractions="train=1") == 0
  description = dataset_json.load(site.output)
  assert description.metadata == {
    "site": ("north", "south"),
    "view name": ("", "oblique left"),
  }
  source = bag_source.bag_tfrecords(site.output, "train")
  table = image_table.read(source)
  by_row = {row: k for k, row in enumerate(table.row)}
  order = [by_row[2], by_row[3], by_row[4]]
  assert list(table.metadata["site"][order]) == ["north", "south", "north"]
  assert list(table.metadata["view name"][order]) == ["oblique left", "", ""]
  bags = tfds.builder_from_directory(site.output).as_dataset(split="train")
  seen = [list(bag["images"]["metadata"]["site"].numpy()) for bag in bags]
  assert sorted(seen) == [[b"north"], [b"north", b"south"]]


def test_a_split_tells_from_how_many_rows_and_of_whom_it_is(site):
  site.write(
    "image,patient_id,edema,site,split",
    ["a.png", "p1", "1", "north", "train"],
    ["b.png", "p1", "1", "south", "train"],
    ["c.png", "p1", "1", "", "train"],
    ["d.png", "p2", "0", "north", "train"],
    ["e.png", "p3", "-1", "north", "train"],
    ["f.png", "p4", "1", "", "test"],
  )
  (site.images / "c.png").unlink()
  (site.images / "d.png").write_bytes(b"no image")
  flags = {"label_columns": "edema", "metadata_columns": "site"}
  assert site.run(on_bad_image="skip", **flags) == 0
  description = dataset_json.load(site.output)
  train = description.splits["train"]
  assert (train.patients, train.images) == (2, 3)
  assert train.cohort == cohort.SplitCohort(
    rows=5,
    row_patients=3,
    rejected={"missing image file": 1, "unreadable image file": 1},
    label_patients={"edema": 1},
    metadata_patients={"site": {"north": 2, "south": 1}},
  )
  source = bag_source.bag_tfrecords(site.output, "test+train")
  assert source.cohort["scored"] == ["test", "train"]
  test = source.cohort["splits"]["test"]
  assert (test["cohort"]["rows"], test["patients"]) == (1, 1)
  # Records of an earlier version, without the counts.
  path = site.output / dataset_json.FILE_NAME
  content = json.loads(path.read_text())
  for split in content["splits"].values():
    del split["cohort"]
  path.write_text(json.dumps(content, indent=2) + "\n")
  earlier = bag_source.bag_tfrecords(site.output, "test")
  assert earlier.cohort["splits"]["train"]["cohort"] is None
  assert dataset_json.to_json(dataset_json.load(site.output)) == (
    path.read_text()
  )


def test_metadata_that_could_name_a_patient_is_refused(site, capsys):
  rows = [[f"{k}.png", f"p{k}", f"19{k}-01-01"] for k in range(60)]
  site.write("image,patient_id,born/on,born:on", *[[*r, ""] for r in rows])
  assert site.run(metadata_columns="born/on,born:on,patient_id,image") == 2
  printed = capsys.readouterr().err
  assert "'patient_id'" in printed
  assert "'image'" in printed
  assert "rename a column" in printed
  site.write("image,patient_id,born", *rows)
  assert site.run(metadata_columns="born,sex") == 2
  assert "column 'sex'" in capsys.readouterr().err
  assert site.run(metadata_columns="born") == 2
  assert "at most 50 different values in column 'born'" in (
    capsys.readouterr().err
  )


def test_the_patients_of_a_split_are_known_and_checked(site):
  site.write(
    "image,patient_id,split",
    *[
      [f"{p}{k}.png", p, split]
      for p, split in (("a", "train"), ("b", "test"), ("c", "test"))
      for k in range(2)
    ],
  )
  assert site.run() == 0
  source = bag_source.bag_tfrecords(site.output, "test")
  assert source.patients() == tuple(
    sorted({bag["patient_id"].decode() for bag in site.bags("test")})
  )
  # The same key again gives the same pseudonyms and says that it is the same.
  first, site.output = site.output, site.root / "again"
  assert site.run(id_key_file=f"{first}.id_key") == 0
  again = bag_source.bag_tfrecords(site.output, "test")
  assert (again.key_id, again.patients()) == (source.key_id, source.patients())
  site.output = site.root / "other"
  assert site.run() == 0
  other = bag_source.bag_tfrecords(site.output, "test")
  assert other.key_id != source.key_id
  path = first / dataset_json.PATIENTS_FILE_NAME
  path.write_text(path.read_text().rsplit("\n", 2)[0] + "\n")
  with pytest.raises(dataset_json.DatasetError, match="other patients"):
    source.patients()


def test_multi_label_build_with_bags_and_splits(site):
  site.write(
    "image,patient_id,study,split,edema,effusion",
    ["a.png", "p1", "1", "train", "1", "-1"],
    ["b.png", "p1", "1", "train", "0", ""],
    ["c.png", "p1", "2", "train", "", ""],
    ["d.png", "p2", "1", "ext_1", "1", "1"],
  )
  flags = {"bag_column": "study", "label_columns": "edema,effusion"}
  assert site.run(**flags) == 0
  train = dataset_json.load(site.output).splits["train"]
  assert (train.patients, train.bags, train.images) == (1, 2, 3)
  assert train.labelled_images == 2
  counts = {"1": 1, "0": 1, "-1": 0, "missing": 1}
  assert train.label_counts["edema"] == counts
  bags = {tuple(bag["row"]): bag for bag in site.bags("train", 2)}
  expected = [[1, -1], [0, np.nan]]
  np.testing.assert_array_equal(bags[2, 3]["labels"], expected)
  assert bags[2, 3]["patient_id"] == bags[4,]["patient_id"]
  # Study 1 of another patient is another bag.
  ids = {bag["bag_id"] for bag in [*bags.values(), *site.bags("ext_1", 2)]}
  assert len(ids) == 3
  features = tfds.builder_from_directory(site.output).as_dataset(split="ext_1")
  (bag,) = features.as_numpy_iterator()
  assert bag["images"]["labels"].tolist() == [[1, 1]]


def test_nothing_written_tells_a_path_an_id_or_a_file_name(site):
  site.write("image,patient_id,label", *patients(10))
  bad = site.images / "folder3" / "secret3-0.png"
  bad.write_bytes(bad.read_bytes()[:60])
  (site.images / "folder4" / "secret4-0.png").unlink()
  assert site.run(on_bad_image="skip") == 0
  assert not (site.output / "out.id_key").exists()
  secrets = [b"secret", b"SECRET", b"folder", b"manifest.csv"]
  secrets.append(str(site.root).encode())
  for name, content in site.bytes_written().items():
    for secret in secrets:
      assert secret not in content, name
      assert secret.decode() not in name
  key = (site.root / "out.id_key").read_text().strip().encode()
  assert all(key not in content for content in site.bytes_written().values())


def test_same_key_gives_the_same_bytes_whatever_the_row_order(site):
  rows = patients(40, images=1)
  site.write("image,patient_id,label", *rows)
  assert site.run() == 0
  first = site.bytes_written()
  site.output.rename(site.root / "first")
  assert site.run(workers=2) == 0
  assert site.bytes_written() == first
  splits = {s: {b["patient_id"] for b in site.bags(s)} for s in ("train",)}
  site.output.rename(site.root / "second")
  site.write("image,patient_id,label", *rows[::-1])
  assert site.run() == 0
  assert {b["patient_id"] for b in site.bags("train")} == splits["train"]


def test_key_file(site, capsys):
  site.write("image,patient_id", *[row[:2] for row in patients(3)])
  assert site.run() == 0
  key = site.root / "out.id_key"
  assert stat.S_IMODE(key.stat().st_mode) == 0o600
  first = {bag["patient_id"] for bag in site.bags("train")}
  key.chmod(0o644)
  again = {"output_dir": site.root / "again", "id_key_file": key}
  assert site.run(**again) == 0
  assert "chmod 600" in capsys.readouterr().out
  site.output = site.root / "again"
  assert {bag["patient_id"] for bag in site.bags("train")} == first


def test_empty_output_folder_and_trailing_slash(site):
  site.write("image,patient_id", *[row[:2] for row in patients(3)])
  site.output.mkdir()
  assert site.run(output_dir=f"{site.output}/") == 0
  assert (site.root / "out.id_key").is_file()


def command(site, **flags):
  arguments = [sys.executable, "-m", "data.build_tfrecords"]
  return [*arguments, *site.flags(**flags)]


def test_help_does_not_import_tensorflow():
  code = (
    "import sys, data.build_tfrecords as b; b.main(['x', '--help']);"
    "assert 'tensorflow' not in sys.modules"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert "--split_fractions" in done.stdout


@pytest.mark.parametrize(
  ("signals", "status"),
  [
    ([signal.SIGTERM], 143),
    ([signal.SIGINT], 130),
    ([signal.SIGINT, signal.SIGTERM, signal.SIGINT], None),
  ],
)
def test_a_stopped_build_leaves_nothing_behind(site, signals, status):
  write_images(site.images, ["0.png"])
  for i in range(1, 3000):
    os.link(site.images / "0.png", site.images / f"{i}.png")
  rows = [[f"{i}.png", f"p{i}"] for i in range(3000)]
  site.write("image,patient_id", *rows, images=False)
  process = subprocess.Popen(
    command(site),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    # As at a terminal; what runs in the background may ignore it.
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
  )
  while not list(site.root.glob("out.building-*/*")):
    assert process.poll() is None
    time.sleep(0.02)
  for number in signals:
    process.send_signal(number)
  _, told = process.communicate()
  if status:
    assert process.returncode == status
    assert "Stopped, nothing was written." in told
    assert "Traceback" not in told
  assert not list(site.root.glob("out*/"))


def test_a_killed_build_is_named_by_the_next(site, capsys):
  site.write("image,patient_id", *[row[:2] for row in patients(3)])
  left = site.root / "out.building-0123abcd"
  left.mkdir()
  assert site.run() == 0
  assert f"{str(left)!r} belongs to another build" in capsys.readouterr().out


def test_an_image_out_of_turn_is_never_written(site, monkeypatch, capsys):
  in_order = conversion.converted

  def out_of_order(*arguments):
    first, second, *rest = in_order(*arguments)
    return iter([second, first, *rest])

  monkeypatch.setattr(conversion, "converted", out_of_order)
  site.write("image,patient_id", *[row[:2] for row in patients(3)])
  assert site.run() == 1
  assert "RuntimeError: Expected the image of row" in capsys.readouterr().err
  assert not list(site.root.glob("out*"))
