"""Check of a shard's records: what is damaged, and where the sound ones lie.

A TFRecord is framed as length, checksum of the length, bytes, checksum of the
bytes (CRC32C, masked). A wrong byte spoils one record; a wrong length hides all
that follow it in the file.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Iterator

import google_crc32c
import tensorflow as tf

from data.images import decode as image_decode
from data.records import bag_records

_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")
_LENGTH_BYTES = 8


@dataclasses.dataclass(frozen=True)
class Record:
  """A record of a shard.

  Attributes:
    number: of the record in its file, from 0.
    offset: of its bytes in the file.
    length: in bytes.
    images: in its bag; 0 where it is damaged.
    damage: what is wrong with it; '' where it is sound.
  """

  number: int
  offset: int
  length: int
  images: int = 0
  damage: str = ""


def records(
  path: str | os.PathLike,
  num_labels: int | None,
  metadata_columns=(),
  *,
  decode,
) -> Iterator[Record]:
  """Yields the records of a file, damaged ones too.

  The last one is damaged where nothing behind it can be told.

  Args:
    path: the shard.
    num_labels: as in `bag_records.parse_bag`.
    metadata_columns: as in `bag_records.parse_bag`.
    decode: whether to decode the images, too.
  """
  for record, _ in bags(path, num_labels, metadata_columns, decode=decode):
    yield record


def bags(
  path: str | os.PathLike,
  num_labels: int | None,
  metadata_columns=(),
  *,
  decode,
) -> Iterator[tuple[Record, dict | None]]:
  """Yields what `records` does, each with its bag, None where it is damaged."""
  for number, (offset, length, content, damage) in enumerate(_frames(path)):
    bag = None
    if not damage:
      bag, damage = _read(content, num_labels, metadata_columns, decode)
    bag = None if damage else bag
    images = len(bag["row"]) if bag else 0
    yield Record(number, offset, length, images, damage), bag


def _read(content, num_labels, metadata_columns, decode):
  """Returns a bag, None where it is none, and what is wrong with it.

  TensorFlow's own words are not told: they quote the record.
  """
  try:
    bag = bag_records.parse_bag(content, num_labels, metadata_columns)
  except tf.errors.InvalidArgumentError:
    return None, "it is no bag of images"
  try:
    for image in bag["image"] if decode else ():
      image_decode.decode(image)
  except tf.errors.InvalidArgumentError:
    return bag, "an image in it cannot be decoded"
  return bag, ""


def _frames(path):
  """Yields (offset, length, bytes or None, damage) of each record."""
  size = os.path.getsize(path)
  with open(path, "rb") as file:
    while head := file.read(_HEAD.size):
      offset = file.tell()
      if len(head) < _HEAD.size:
        yield offset, 0, None, "the file ends inside its head"
        return
      length, check = _HEAD.unpack(head)
      if _masked(head[:_LENGTH_BYTES]) != check:
        what = "its length is damaged, and what follows in the file is lost"
        if offset == _HEAD.size:
          what += "; or this is not a TFRecord file"
        yield offset, 0, None, what
        return
      if offset + length + _FOOT.size > size:
        yield offset, length, None, "the file ends inside it"
        return
      content = file.read(length)
      (check,) = _FOOT.unpack(file.read(_FOOT.size))
      if _masked(content) != check:
        yield offset, length, None, "its bytes do not match their checksum"
      else:
        yield offset, length, content, ""


def _masked(content):
  """Returns the CRC32C of bytes as TFRecord stores it."""
  crc = google_crc32c.value(content)
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
