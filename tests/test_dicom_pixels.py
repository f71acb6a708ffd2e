"""DICOM: pixels as pydicom's own pipeline has them, or the right reason."""

import io
import pathlib
import re

import dicom_files
import numpy as np
import pydicom
import pytest
from dicom_files import dataset, item, lut, noise
from PIL import Image
from pydicom.pixels import (
  apply_color_lut,
  apply_modality_lut,
  apply_voi_lut,
)

from data.images.image_bytes import (
  BadImageError,
  check_header,
  clean_image,
  decodable_bytes,
)

ROOT = pathlib.Path(pydicom.__file__).parent / "data" / "test_files"
FILES = sorted(
  path
  for path in ROOT.rglob("*")
  if path.is_file() and path.suffix not in (".txt", ".json", ".dump")
)
NO_IMAGE = "a DICOM file without an image"
UNKNOWN, DAMAGED = "cannot be decoded", "is damaged"
# Which of pydicom's files that hold pixels are rejected, and why.
REJECTED = {
  "JPEG-lossy.dcm": UNKNOWN,
  "JPEG2000-embedded-sequence-delimiter.dcm": UNKNOWN,
  "MR_truncated.dcm": UNKNOWN,
  "SC_rgb_jpeg.dcm": UNKNOWN,
  "badVR.dcm": DAMAGED,  # its number of frames is '1A'
  "meta_missing_tsyntax.dcm": NO_IMAGE,  # no rows
  "nested_priv_SQ.dcm": NO_IMAGE,
  **dict.fromkeys(
    (path.name for path in FILES if re.search("rtdose|32bit", path.name)),
    "32 bits a pixel; up to 16",
  ),
}


def pixels_of(path, window="dicom", frame=None):
  """The pixels that are stored of a file."""
  image = clean_image(path, 5000, window, frame)
  with Image.open(io.BytesIO(image.data)) as opened:
    assert opened.mode in ("L", "RGB")
    return np.asarray(opened).astype(int)


def by_pydicom(path, frame):
  """The same by pydicom's pipeline, scaled to its output's own range."""
  ds = pydicom.dcmread(path, force=True)
  values = ds.pixel_array
  if frame is not None:
    values = values[frame]
  if ds.PhotometricInterpretation == "PALETTE COLOR":
    return apply_color_lut(values, ds) // 257
  if ds.SamplesPerPixel == 3:
    return values / (2**ds.BitsStored - 1) * 255
  scaled = apply_modality_lut(values, ds).astype(float)
  low, high = scaled.min(), scaled.max()
  if "WindowWidth" in ds or ds.BitsStored <= 8:
    scaled = apply_voi_lut(scaled, ds)
    ends = np.array([0, 2**ds.BitsStored - 1])
    ends = ends - ds.PixelRepresentation * 2 ** (ds.BitsStored - 1)
    low, high = apply_modality_lut(ends, ds)
  shown = (scaled - low) / (high - low) * 255
  is_inverted = ds.PhotometricInterpretation == "MONOCHROME1"
  return 255 - shown if is_inverted else shown


@pytest.mark.filterwarnings("ignore")  # of pydicom, on broken headers
@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_pydicoms_own_files(path):
  try:
    holds_pixels = "PixelData" in pydicom.dcmread(path, force=True)
  except Exception:  # no DICOM
    holds_pixels = False
  no_image = None if holds_pixels else f"{NO_IMAGE}|not JPEG"
  reason = REJECTED.get(path.name, no_image)
  if reason is not None:
    with pytest.raises(BadImageError, match=reason):
      clean_image(path, 5000)
    return
  frames = check_header(path).frames
  for frame in {0, frames - 1} if frames > 1 else (None,):
    expected = by_pydicom(path, frame)
    assert np.abs(pixels_of(path, frame=frame) - expected).max() <= 1


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("kind", ["linear", "exact", "sigmoid", "voi", "both"])
def test_window_by_the_standard(tmp_path, kind, inverted):
  """PS3.3 C.11.2.1, on 12 bits with a rescale."""
  stored = noise(40, 50)
  ds = dataset(stored, 12, RescaleSlope=2, RescaleIntercept=-1000)
  if inverted:
    ds.PhotometricInterpretation = "MONOCHROME1"
  x, c, w = stored * 2.0 - 1000, 600, 1500
  if kind == "voi":
    table = (np.arange(4096) ** 2) // 4096
    ds.VOILUTSequence = pydicom.Sequence([lut(table, 0, 12)])
    unit = table[np.clip(x, 0, 4095).astype(int)] / 4095
  else:
    ds.WindowCenter, ds.WindowWidth = [c, 7], [w, 9]  # the first one counts
    unit = (x - (c - 0.5)) / (w - 1) + 0.5
  if kind == "exact":
    ds.VOILUTFunction = "LINEAR_EXACT"
    unit = (x - c) / w + 0.5
  if kind == "sigmoid":
    ds.VOILUTFunction = "SIGMOID"
    unit = 1 / (1 + np.exp(-4 * (x - c) / w))
  if kind == "both":  # the modality's table comes before the window
    del ds.RescaleSlope, ds.RescaleIntercept
    table = np.arange(4096)[::-1]
    ds.ModalityLUTSequence = pydicom.Sequence([lut(table, 0, 16)])
    unit = (4095 - stored - (c - 0.5)) / (w - 1) + 0.5
  gray = np.clip(unit, 0, 1) * 255
  shown = pixels_of(dicom_files.save(tmp_path / "a", ds))
  assert np.abs(shown - (255 - gray if inverted else gray)).max() <= 1


def test_falling_rescale_shows_what_is_above_the_window_white(tmp_path):
  stored = noise(9, 9)
  ds = dataset(stored, 12, RescaleSlope=-1, RescaleIntercept=4095)
  falling = (4095 - stored) / 4095 * 255
  unit = pixels_of(dicom_files.save(tmp_path / "a", ds))
  low, high = falling.min(), falling.max()
  assert np.abs(unit - (falling - low) / (high - low) * 255).max() <= 1
  ds.WindowCenter, ds.WindowWidth = 2048, 4096
  unit = pixels_of(dicom_files.save(tmp_path / "b", ds))
  assert np.abs(unit - falling).max() <= 1


def deep_files(folder, stored):
  """The same numbers as DICOM, PNG and TIFF; a function that gives pixels."""
  dicom_files.save(folder / "a.dcm", dataset(stored, 16))
  Image.fromarray(stored).save(folder / "a.png")
  Image.fromarray(stored).save(folder / "a.tiff")
  return [folder / f"a.{end}" for end in ("dcm", "png", "tiff")]


def test_window_that_is_asked_for(tmp_path):
  stored = noise(64, 64, high=60_000)
  stored[:2] = 65535  # a bright label
  low, high = np.percentile(stored, (0.5, 99.5))
  expected = {
    "percentiles": (stored - low) / (high - low),
    "20000,8000": (stored - 19999.5) / 7999 + 0.5,
  }
  for path in deep_files(tmp_path, stored):
    for window, unit in expected.items():
      shown = pixels_of(path, window)
      assert np.abs(shown - np.clip(unit, 0, 1) * 255).max() <= 1
      again = decodable_bytes(path, 5000, window)
      with Image.open(io.BytesIO(again)) as opened:
        np.testing.assert_array_equal(np.asarray(opened), shown)


def test_padding_is_not_counted_among_the_percentiles(tmp_path):
  stored = noise(64, 64, high=1000) + 20_000
  stored[:40] = 0
  ds = dataset(stored, 16)
  ds.add_new("PixelPaddingValue", "US", 0)
  shown = pixels_of(dicom_files.save(tmp_path / "a", ds), "percentiles")
  seen = stored[40:]
  low, high = np.percentile(seen, (0.5, 99.5))
  unit = np.clip((seen - low) / (high - low), 0, 1)
  assert np.abs(shown[40:] - unit * 255).max() <= 1
  assert not shown[:40].any()


def test_frames_have_rescale_and_window_of_their_own(tmp_path):
  stored = noise(3, 20, 30)
  ds = dataset(stored, 12)
  shared = item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
  ds.SharedFunctionalGroupsSequence = item(
    PixelValueTransformationSequence=shared
  )
  ds.PerFrameFunctionalGroupsSequence = pydicom.Sequence(
    item(FrameVOILUTSequence=item(WindowCenter=c, WindowWidth=400))[0]
    for c in (0, 500, 1000)
  )
  path = dicom_files.save(tmp_path / "a", ds)
  assert check_header(path) == (3, ())
  for frame, center in enumerate((0, 500, 1000)):
    unit = (stored[frame] - 1024.0 - (center - 0.5)) / 399 + 0.5
    shown = pixels_of(path, frame=frame)
    assert np.abs(shown - np.clip(unit, 0, 1) * 255).max() <= 1
  with pytest.raises(BadImageError, match="3 frames: list it in a manifest"):
    decodable_bytes(path, 500)


def test_overlay_in_unused_bits_is_left_out(tmp_path):
  stored = noise(16, 16)
  ds = dataset(stored | np.uint16(0xF000), 12)
  ds.WindowCenter, ds.WindowWidth = 2048, 4096
  ds.add_new((0x6000, 0x0010), "US", 16)
  ds.add_new((0x6000, 0x0102), "US", 12)
  path = dicom_files.save(tmp_path / "a", ds)
  assert check_header(path).remarks == ("overlays",)
  assert np.abs(pixels_of(path) - stored / 4095 * 255).max() <= 1


def bad_files():
  sound = noise(8, 8)
  video = dataset(sound)
  video.file_meta.TransferSyntaxUID = pydicom.uid.MPEG4HP41
  video.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
  yield "video", video, r"transfer syntax \(MPEG-4 .*\) is not read"
  empty = dataset(sound)
  del empty.PixelData
  yield "no pixels", empty, NO_IMAGE
  hidden = dataset(sound)
  del hidden.PixelData
  hidden.EncryptedAttributesSequence = item(EncryptedContent=b"\1\2")
  yield "encrypted", hidden, "encrypted: decrypt it first"
  many = dataset(sound, NumberOfFrames=2 * 10**9)
  yield "many", many, "fewer bytes than frames"
  floats = dataset(sound)
  del floats.PixelData
  floats.FloatPixelData = bytes(256)
  yield "floats", floats, "floating-point"
  four = dataset(sound, PhotometricInterpretation="CMYK", SamplesPerPixel=4)
  yield "CMYK", four, "neither gray, nor of a palette"
  runs = dataset(sound)
  runs.compress(pydicom.uid.RLELossless)
  runs.PixelData = runs.PixelData[:80].ljust(84, b"\x7f")
  yield "RLE", runs, UNKNOWN
  width = dataset(sound, WindowCenter=0, WindowWidth=0)
  yield "window", width, "name one by --window"
  words = dataset(sound)
  for name in ("WindowCenter", "WindowWidth"):
    words[name] = pydicom.DataElement(name, "LO", "wide")
  yield "words", words, DAMAGED
  short = dataset(sound, Rows=80)
  yield "short", short, UNKNOWN


@pytest.mark.parametrize(
  ("ds", "reason"), [pytest.param(d, r, id=n) for n, d, r in bad_files()]
)
def test_bad_dicom_gives_the_reason(tmp_path, ds, reason):
  path = dicom_files.save(tmp_path / "jane_doe", ds)
  with pytest.raises(BadImageError, match=reason) as caught:
    clean_image(path, 500)
  assert "jane_doe" not in str(caught.value)
  if reason not in (UNKNOWN, DAMAGED, "name one by --window"):
    with pytest.raises(BadImageError, match=reason):
      check_header(path)


def test_large_image_is_shrunk(tmp_path):
  path = dicom_files.save(tmp_path / "a", dataset(noise(60, 90), 12))
  image = clean_image(path, 45)
  assert (image.height, image.width) == (30, 45)
