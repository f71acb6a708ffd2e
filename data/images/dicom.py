"""Recognition of DICOM, and of what is like it, by the first bytes."""

from __future__ import annotations

import importlib.util
import zlib
from typing import NamedTuple

# The most that is looked at here; a NIfTI header has 348 or 540 bytes.
HEAD_BYTES = 1024
# File meta information and identification, which files without a preamble
# begin with; little and big endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
_LONGEST_FIRST_VALUE = 256
_NIFTI = (b"n+1\0", b"ni1\0", b"n+2\0", b"ni2\0")
# The object identifier that an envelope of PKCS#7 begins with.
_ENVELOPE = bytes.fromhex("06092a864886f70d0107")


class FileFacts(NamedTuple):
  """What the header of an image file tells.

  Attributes:
    frames: images that it holds, 1 in all files but DICOM.
    remarks: names of what a user should know of a DICOM file.
  """

  frames: int = 1
  remarks: tuple[str, ...] = ()


def is_dicom(head: bytes) -> bool:
  """Tells whether a file looks like DICOM.

  Args:
    head: the first `HEAD_BYTES` of the file, or all of a shorter one.
  """
  if head[128:132] == b"DICM":
    return True
  if len(head) < 8 or head[:2] not in _FIRST_GROUPS:
    return False
  # Behind group and element: the two capitals of the value's type, or, where
  # types are implicit, its length, which is even.
  kind = head[4:6]
  length = int.from_bytes(head[4:8], "little")
  implicit = length % 2 == 0 and length <= _LONGEST_FIRST_VALUE
  return (kind.isalpha() and kind.isupper()) or implicit


def is_read() -> bool:
  """Tells whether DICOM can be read: pydicom 3 is for Python 3.10 and later."""
  return importlib.util.find_spec("pydicom") is not None


def advice(head: bytes) -> str | None:
  """Returns what to do with a medical file that is not read, or None."""
  if is_dicom(head) and not is_read():
    return "it is DICOM, which is read with Python 3.10 or later: pydicom 3"
  if head[:1] == b"\x30" and _ENVELOPE in head[:32]:
    return "it is encrypted (a secure DICOM file, PKCS#7): decrypt it first"
  if head[:2] == b"\x1f\x8b":
    try:
      head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head)
    except zlib.error:
      return None
  if head[344:348] in _NIFTI[:2] or head[4:8] in _NIFTI[2:]:
    return (
      "it is a NIfTI volume, which is not read: write its slices as 16-bit PNG "
      "files, one row each (nibabel reads it), or take the DICOM files that it "
      "was made from"
    )
  return None
