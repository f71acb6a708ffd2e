"""DICOM files: recognised, not read."""

from __future__ import annotations

ADVICE = (
  "it is a DICOM file, which is not read: convert it to PNG or JPEG, with "
  "rescale and window applied (for example by pydicom's apply_modality_lut and "
  "apply_voi_lut)"
)
# The most that `is_dicom` looks at: a preamble of 128 bytes, then 'DICM'.
HEAD_BYTES = 132
# File meta information and identification, which files without a preamble
# begin with; little endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
_LONGEST_FIRST_VALUE = 256


def is_dicom(head: bytes) -> bool:
  """Tells whether a file that is no other image looks like DICOM.

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
