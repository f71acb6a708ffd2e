"""Pseudonyms, and the file that holds their key."""

from __future__ import annotations

import os
import stat

import pytest

from data.manifest import pseudonyms
from data.manifest.pseudonyms import Pseudonyms
from data.problems import InputError


def test_pseudonyms_depend_on_key_and_id():
  one, other = Pseudonyms(b"1" * 32), Pseudonyms(b"2" * 32)
  seen = [
    one.patient("p1"),
    one.patient("p2"),
    other.patient("p1"),
    one.bag("p1", "p1"),
    one.bag("p1", "s"),
    one.bag("p2", "s"),
    one.bag("p", "1s"),
  ]
  assert len(set(seen)) == len(seen)
  assert all(len(s) == 32 and int(s, 16) >= 0 for s in seen)
  assert one.patient("p1") == Pseudonyms(b"1" * 32).patient("p1")


def test_patient_key_is_the_first_63_bits():
  assert pseudonyms.patient_key("f" * 32) == 2**63 - 1
  assert pseudonyms.patient_key("0" * 15 + "2" + "f" * 16) == 1


def test_key_file_round_trip(tmp_path):
  path = tmp_path / "key"
  assert pseudonyms.read_key(path) is None
  key = pseudonyms.new_key()
  assert len(key) == 32
  pseudonyms.write_key(path, key)
  assert pseudonyms.read_key(path) == key
  assert stat.S_IMODE(path.stat().st_mode) == 0o600
  assert not pseudonyms.others_may_read(path)
  os.chmod(path, 0o640)
  assert pseudonyms.others_may_read(path)
  with pytest.raises(FileExistsError):
    pseudonyms.write_key(path, key)


def test_no_half_a_key_is_left(tmp_path, monkeypatch):
  def full(descriptor):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match="No space"):
    pseudonyms.write_key(tmp_path / "key", b"1" * 32)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (b"", "an empty file"),
    (b"\n", "an empty file"),
    (b"ab" * 31, "62 characters"),
    (b"xy" * 32, "64 characters"),
    (b"\xff\xfe\x00", "3 characters"),
  ],
)
def test_bad_key_file(tmp_path, content, message):
  path = tmp_path / "key"
  path.write_bytes(content)
  with pytest.raises(InputError, match=message):
    pseudonyms.read_key(path)


def test_folder_as_key_file(tmp_path):
  with pytest.raises(InputError, match="cannot be read"):
    pseudonyms.read_key(tmp_path)
