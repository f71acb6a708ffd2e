"""Lossless copy of a JPEG's coded picture, and of nothing else in the file.

A JPEG is a list of marker segments. Those needed to decode the picture are
kept: tables, frame, scans, and in canonical form the two application segments
that choose the colour transform (JFIF and Adobe). All else (EXIF, XMP, IPTC,
colour profile, comments, thumbnails, further pictures and whatever follows the
end of the image) is left behind.
"""

from __future__ import annotations

import re

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_APP0, _APP14 = 0xE0, 0xEE
# Baseline, extended and progressive Huffman frames: what TensorFlow decodes.
_FRAMES = (0xC0, 0xC1, 0xC2)
# Huffman tables, quantisation tables, number of lines, restart interval.
_TABLES = (0xC4, 0xDB, 0xDC, 0xDD)
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8}
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE_LENGTH = 12
# In coded data 0xFF is followed by 0 (a stuffed byte) or a restart marker.
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


class NotCopyableError(ValueError):
  """The JPEG is of a kind that has to be decoded and coded again."""


def strip_jpeg(data: bytes) -> bytes:
  """Returns the JPEG without anything but its first picture.

  Args:
    data: a JPEG file.

  Returns:
    A JPEG file that decodes to the same pixels (orientation not applied).

  Raises:
    NotCopyableError: not 8-bit gray or three-component Huffman-coded JPEG, or
      not laid out by the standard.
  """
  if data[:2] != b"\xff\xd8":
    raise NotCopyableError("no start of image")
  kept = [b"\xff\xd8"]
  position, frames, scans = 2, 0, 0
  while True:
    marker, position = _next_marker(data, position)
    if marker == _END:
      break
    length = int.from_bytes(data[position : position + 2], "big")
    end = position + length
    if length < 2 or end > len(data):
      raise NotCopyableError("segment beyond the end of the file")
    body = data[position + 2 : end]
    if marker == _APP0 and body.startswith(b"JFIF\0"):
      kept.append(_JFIF)
    elif marker == _APP14 and body.startswith(b"Adobe"):
      body = body[:_ADOBE_LENGTH]
      kept.append(b"\xff\xee" + (len(body) + 2).to_bytes(2, "big") + body)
    elif marker in _FRAMES:
      frames += 1
      if len(body) < 6 or body[0] != 8 or body[5] not in (1, 3):
        raise NotCopyableError("not 8-bit gray or colour")
      kept.append(b"\xff" + bytes([marker]) + data[position:end])
    elif marker in _TABLES:
      kept.append(b"\xff" + bytes([marker]) + data[position:end])
    elif marker == _SCAN:
      scans += 1
      after = _AFTER_SCAN.search(data, end)
      if after is None:
        raise NotCopyableError("no end of image")
      kept.append(b"\xff\xda" + data[position : after.start()])
      end = after.start()
    elif marker in _OTHER_FRAMES:
      raise NotCopyableError("not a Huffman-coded frame")
    position = end
  if frames != 1 or not scans:
    raise NotCopyableError("not one frame")
  return b"".join(kept) + b"\xff\xd9"


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
  """Returns the marker at `position` and the position behind it."""
  if data[position : position + 1] != b"\xff":
    raise NotCopyableError("no marker where one is due")
  while data[position : position + 1] == b"\xff":
    position += 1
  if position >= len(data):
    raise NotCopyableError("no end of image")
  return data[position], position + 1
