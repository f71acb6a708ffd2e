"""Report that `python -m data.build_tfrecords` prints of a finished build."""

from __future__ import annotations

import re
import shlex

import pytest
from build_site import Site


@pytest.fixture
def site(tmp_path):
  (tmp_path / "my site").mkdir()
  return Site(tmp_path / "my site")


def printed_by(site, capsys, **flags):
  assert site.run(**flags) == 0
  return capsys.readouterr().out


def images_of(patients):
  """Returns an image, a patient and a class for each class name."""
  return [[f"{i}.png", f"p{i}", name] for i, name in enumerate(patients)]


def test_labels_that_are_not_trained_on_and_single_images(site, capsys):
  rows = [["a.png", "1", "train", "x"], ["b.png", "2", "test", "y"]]
  site.write("image,patient_id,split,label", *rows)
  printed = printed_by(site, capsys)
  assert "MICLe is SimCLR" in printed
  assert "'test' that no image of 'train' has: 'y'" in printed
  assert "train: 1 patient, 1 bag, 1 image, 1 labelled, 1 file\n" in printed
  assert "drawn split" not in printed  # These were given.


def test_equal_images_are_noted(site, capsys):
  rows = [["a.png", "1"], ["b.png", "2"], ["c.png", "1"], ["d.png", "2"]]
  site.write("image,patient_id", *rows)
  for copy in ("c.png", "d.png"):
    (site.images / copy).write_bytes((site.images / "a.png").read_bytes())
  # Which of three is the first depends on the order of the bags.
  printed = printed_by(site, capsys, split_fractions="train=1")
  assert "2 images equal one of another row" in printed


def test_drawn_splits_that_can_tell_little_are_noted(site, capsys):
  site.write("image,patient_id,label", *images_of(["a"] * 95 + ["b"] * 5))
  fractions = "train=0.86,validation=0.09,test=0.05"
  printed = printed_by(site, capsys, split_fractions=fractions)
  assert "'validation' has 9 patients: what is measured on fewer" in printed
  assert "'test' has 5 patients" in printed
  assert "'train' has" not in printed
  site.output = site.root / "enough"
  fractions = "train=0.8,validation=0.1,test=0.1"
  printed = printed_by(site, capsys, split_fractions=fractions)
  assert "what is measured on fewer" not in printed


def test_drawn_splits_that_lack_a_class_are_noted(site, capsys):
  site.write("image,patient_id,label", *images_of(["a"] * 9 + ["b"]))
  printed = printed_by(site, capsys)
  lacking = re.findall(r"drawn split '(\w+)' has no image of 'b'", printed)
  assert lacking == ["validation", "test"]
  site.output = site.root / "findings"
  rows = [[f"{i}.png", f"p{i}", i % 2, int(i == 0)] for i in range(10)]
  site.write("image,patient_id,edema,mass", *rows)
  printed = printed_by(site, capsys, label_columns="edema,mass")
  assert "no image of 'mass': nothing can be measured of that" in printed


def test_one_class_is_noted(site, capsys):
  site.write("image,patient_id,label", *images_of(["a", "a", "", "a"]))
  printed = printed_by(site, capsys)
  assert "All labels are of one class, 'a'" in printed


def test_commands_are_quoted_for_the_shell(site, capsys):
  site.write("image,patient_id", *[row[:2] for row in images_of("abc")])
  key = site.root / "the key"
  printed_by(site, capsys, id_key_file=key)
  key.chmod(0o644)
  site.output = site.root / "my records"
  printed = printed_by(site, capsys, id_key_file=key)
  (change,) = re.findall("run (chmod .*)", printed)
  assert shlex.split(change) == ["chmod", "600", str(key)]
  (place,) = re.findall("Key of the pseudonyms: (.*)", printed)
  assert shlex.split(place) == [str(key)]
  (command,) = re.findall("python run.py.*", printed)
  words = shlex.split(command)
  assert f"--data_dir={site.output}" in words


@pytest.mark.parametrize(
  ("splits", "label", "flags"),
  [
    (("train", "test"), "", {"--mode=pretrain", "--model_dir=runs/out"}),
    # With labels there is a probe, on --eval_split=validation by default.
    (("train", "test"), "x", {"--nolineareval_while_pretraining"}),
    (("train", "test", "val"), "x", {"--eval_split=val"}),
    (("test",), "", {"--mode=eval", "--eval_split=test", "--model_dir=TUNED"}),
    (("dev",), "", {"--mode=pretrain", "--train_split=dev"}),
    (("dev",), "x", {"--train_split=dev", "--nolineareval_while_pretraining"}),
  ],
)
def test_the_next_command_takes_the_splits_that_there_are(
  site, capsys, splits, label, flags
):
  rows = [[f"{name}.png", name, name, label] for name in splits]
  site.write("image,patient_id,split,label", *rows)
  (command,) = re.findall(r"python run\.py.*", printed_by(site, capsys))
  words = set(shlex.split(command))
  assert flags <= words
  probe = {"--nolineareval_while_pretraining", "--eval_split=val"}
  assert words & probe <= flags
