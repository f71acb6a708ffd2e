"""Headers of DICOM files: what is in them, and whether it is read here."""

from __future__ import annotations

import copy
import logging
import os
from typing import BinaryIO, NamedTuple

import pydicom
from PIL import Image
from pydicom.pixels import get_decoder
from pydicom.uid import UID
from pydicom.uid import DeflatedExplicitVRLittleEndian as DEFLATED

from data.images.dicom import FileFacts
from data.images.pillow_decoding import BadImageError, explained

# What pydicom warns of quotes the header, which names the patient.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

GRAY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_MOST_BITS = 16
_OVERLAYS = range(0x6000, 0x6020, 2)
# Tags that begin pixels, as little-endian files have them.
_PIXELS = b"\xe0\x7f\x10\x00"
_FLOATS = (b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00")
_ENCRYPTED = "it is a DICOM file whose image is encrypted: decrypt it first"
_NO_IMAGE = (
  "it is a DICOM file without an image (a report, a plan, a waveform, or "
  "damaged)"
)


class Header(NamedTuple):
  """The header of a DICOM file whose pixels are read.

  Attributes:
    dataset: what stands before the pixels.
    syntax: the transfer syntax.
    frames: how many there are.
    is_gray: whether the pixels are gray, before a palette.
  """

  dataset: pydicom.Dataset
  syntax: UID
  frames: int
  is_gray: bool

  @property
  def burned_in(self) -> bool:
    """Whether the file says that annotation is burned into its pixels."""
    return str(self.dataset.get("BurnedInAnnotation", "")).upper() == "YES"

  @property
  def overlays(self) -> bool:
    """Whether there is a graphic that viewers lay on the picture."""
    return any((group, 0x0010) in self.dataset for group in _OVERLAYS)

  @property
  def overlay_in_pixels(self) -> bool:
    """Whether unused bits of the pixels hold an overlay, as in old files."""
    places = [self.dataset.get((group, 0x0102)) for group in _OVERLAYS]
    return any(place is not None and place.value for place in places)

  @property
  def without_window(self) -> bool:
    """Whether more than 8 bits of gray come without a window or VOI LUT."""
    deep = self.is_gray and self.dataset.BitsStored > 8
    return deep and not has_window(of_frame(self.dataset, 0))


def check(path: str | os.PathLike) -> FileFacts:
  """Reads the header of a file.

  Raises:
    BadImageError: as `read`.
  """
  with explained(OSError), open(path, "rb") as file:
    header = read(file)
  remarks = ("burned_in", "overlays", "without_window")
  with explained():  # pydicom reads a value when it is asked for.
    found = tuple(name for name in remarks if getattr(header, name))
  return FileFacts(header.frames, found)


def has_window(dataset: pydicom.Dataset) -> bool:
  """Returns whether there is a window, or a lookup table in its place."""
  named = [dataset.get(name) for name in ("WindowCenter", "WindowWidth")]
  return None not in named or bool(dataset.get("VOILUTSequence"))


def of_frame(dataset: pydicom.Dataset, frame: int) -> pydicom.Dataset:
  """Returns a header with a frame's own rescale and window at its top.

  Enhanced files have them in functional groups, of all frames or of each.
  """
  every = dataset.get("SharedFunctionalGroupsSequence") or []
  each = dataset.get("PerFrameFunctionalGroupsSequence") or []
  found = copy.copy(dataset)
  for group in (*every[:1], *each[frame : frame + 1]):
    for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
      for item in (group.get(name) or [])[:1]:
        found.update(item)
  return found


def read(file: BinaryIO) -> Header:
  """Reads the header, and looks for what keeps the pixels from being read.

  Args:
    file: the file, at its beginning; it is left where the pixels begin.

  Raises:
    BadImageError: it is no image, or of a form that is not read.
  """
  with explained():
    dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True)
    syntax = _transfer_syntax(dataset)
    # Of a deflated file the pixels are not looked for here.
    tag = _PIXELS if syntax == DEFLATED else file.read(4)
    if not syntax.is_little_endian:
      tag = tag[1::-1] + tag[:1:-1]
    is_image = tag == _PIXELS and bool(dataset.get("Rows"))
    encrypted = bool(dataset.get("EncryptedAttributesSequence"))
  if tag in _FLOATS:
    raise BadImageError(
      "its pixels are floating-point numbers, which are not read"
    )
  if not is_image:
    raise BadImageError(_ENCRYPTED if encrypted else _NO_IMAGE)
  with explained():
    kind = str(dataset.get("PhotometricInterpretation", "")).strip()
    samples = int(dataset.get("SamplesPerPixel", 1))
    bits = max(int(dataset.BitsStored), int(dataset.BitsAllocated))
    frames = max(int(dataset.get("NumberOfFrames") or 1), 1)
    pixels = int(dataset.Rows) * int(dataset.Columns)
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
  gray = kind in GRAY and samples == 1
  colour = kind in _COLOUR and samples == 3
  if not (gray or colour or (kind == PALETTE and samples == 1)):
    raise BadImageError(
      "its pixels are neither gray, nor of a palette, nor RGB or YBR (its "
      "photometric interpretation or samples per pixel), which is not read"
    )
  if bits > _MOST_BITS:
    raise BadImageError(
      f"it has {bits} bits a pixel; up to {_MOST_BITS} are read"
    )
  limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
  if limit and pixels > limit:
    raise BadImageError(f"it has more than {limit} pixels a frame")
  if frames > size:
    raise BadImageError("it is damaged (fewer bytes than frames)")
  _check_syntax(syntax)
  return Header(dataset, syntax, frames, gray)


def syntax_name(syntax: UID) -> str:
  """Returns the standard's name of a transfer syntax, no unknown text."""
  return "an unknown one" if syntax.name == str(syntax) else syntax.name


def _check_syntax(syntax: UID) -> None:
  try:
    ready = not syntax.is_compressed or get_decoder(syntax).is_available
  except (NotImplementedError, ValueError):  # pydicom's, of one unknown to it.
    ready = False
  if not ready:
    raise BadImageError(
      f"its transfer syntax ({syntax_name(syntax)}) is not read: convert it to "
      "Explicit VR Little Endian, for example by gdcmconv or dcmdjpeg"
    )


def _transfer_syntax(dataset: pydicom.FileDataset) -> UID:
  """Returns what the file names, or, without a name, how it was read."""
  named = dataset.file_meta.get("TransferSyntaxUID")
  if named:
    return UID(named)
  implicit, little = dataset.original_encoding
  if implicit:
    return pydicom.uid.ImplicitVRLittleEndian
  if little:
    return pydicom.uid.ExplicitVRLittleEndian
  return pydicom.uid.ExplicitVRBigEndian
