"""Image files of every kind: cleaned, and read back by TensorFlow."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, TiffImagePlugin

from data.images import deep_pixels, image_bytes
from data.images.image_bytes import BadImageError, check_header, clean_image

HEIGHT, WIDTH = 24, 36
SECRET = b"JANE^DOE 1970-01-01"


def smooth_rgb(height=HEIGHT, width=WIDTH):
  """A picture that JPEG keeps well: (height, width, 3) uint8."""
  y, x = np.mgrid[0:height, 0:width]
  channels = (x * 200 / width + 20, y * 200 / height + 20, 120 + 0 * x)
  return np.stack(channels, -1).astype(np.uint8)


def deep(channels):
  """All the range of 16 bits: (HEIGHT, WIDTH[, channels]) uint16."""
  shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
  values = np.linspace(0, 65535, HEIGHT * WIDTH * channels)
  return values.reshape(shape).astype(np.uint16)


def rounded(values, full=65535):
  return np.floor(values / full * 255 + 0.5).astype(np.uint8)


def png16(values, colour_type):
  """A 16-bit PNG, which Pillow cannot write in colour."""
  rows = values.astype(">u2")
  raw = b"".join(b"\0" + row.tobytes() for row in rows)

  def chunk(kind, body):
    checked = kind + body
    crc = struct.pack(">I", zlib.crc32(checked))
    return struct.pack(">I", len(body)) + checked + crc

  header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, colour_type, 0, 0, 0)
  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", header)
    + chunk(b"IDAT", zlib.compress(raw))
    + chunk(b"IEND", b"")
  )


def tiff16(values, order, photometric):
  """An uncompressed 16-bit TIFF of any byte order."""
  channels = values.shape[2] if values.ndim == 3 else 1
  pixels = values.astype(order + "u2").tobytes()
  bits_at = 8 + len(pixels)
  entries = (
    (256, 4, 1, WIDTH),
    (257, 4, 1, HEIGHT),
    (258, 3, channels, bits_at if channels > 1 else 16),
    (259, 3, 1, 1),
    (262, 3, 1, photometric),
    (273, 4, 1, 8),
    (277, 3, 1, channels),
    (278, 4, 1, HEIGHT),
    (279, 4, 1, len(pixels)),
  )
  directory = struct.pack(order + "H", len(entries))
  for tag, kind, count, value in entries:
    short = kind == 3 and count == 1
    layout = "HHIHH" if short else "HHII"
    numbers = (tag, kind, count, value) + ((0,) if short else ())
    directory += struct.pack(order + layout, *numbers)
  magic = b"II*\0" if order == "<" else b"MM\0*"
  head = magic + struct.pack(order + "I", bits_at + 8)
  bits = struct.pack(order + "4H", 16, 16, 16, 16)
  return head + pixels + bits + directory + struct.pack(order + "I", 0)


def saved(image, kind, **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def cleaned(tmp_path, source, max_side=512):
  """Cleans the bytes of a file; returns (CleanImage, pixels as TF reads)."""
  path = tmp_path / "image"
  path.write_bytes(source)
  check_header(path)
  image = clean_image(path, max_side)
  pixels = tf.io.decode_image(image.data, channels=3).numpy()
  assert pixels.shape == (image.height, image.width, 3)
  return image, pixels


def exact_kinds():
  rgb = smooth_rgb()
  gray = np.repeat(rgb[..., :1], 3, -1)
  image, one = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
  palette = image.quantize(16)
  yield "png", saved(image, "PNG"), rgb
  yield "bmp", saved(image, "BMP"), rgb
  yield "tiff", saved(image, "TIFF", compression="tiff_lzw"), rgb
  yield "webp lossless", saved(image, "WEBP", lossless=True), rgb
  yield "ppm", saved(image, "PPM"), rgb
  yield "gray png", saved(one, "PNG"), gray
  yield "gray tiff", saved(one, "TIFF"), gray
  yield "palette png", saved(palette, "PNG"), np.asarray(palette.convert("RGB"))
  yield "palette gif", saved(palette, "GIF"), np.asarray(palette.convert("RGB"))
  bits = rgb[..., 0] > 120
  black_white = np.repeat(bits[..., None] * np.uint8(255), 3, -1)
  for kind in ("PNG", "TIFF", "BMP"):
    yield f"1-bit {kind}", saved(Image.fromarray(bits), kind), black_white
  alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
  alpha[:5] = 0
  on_white = rgb.copy()
  on_white[:5] = 255
  rgba = Image.fromarray(np.dstack([rgb, alpha]))
  yield "rgba png", saved(rgba, "PNG"), on_white
  yield "rgba tiff", saved(rgba, "TIFF"), on_white
  la = Image.merge("LA", (one, Image.fromarray(alpha)))
  yield "la png", saved(la, "PNG"), np.repeat(on_white[..., :1], 3, -1)
  half = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 128))
  yield "half transparent", saved(half, "PNG"), np.full_like(rgb, 127)
  see_through = palette.copy()
  white_at = np.asarray(see_through) == 3
  expected = np.where(white_at[..., None], 255, palette.convert("RGB"))
  yield (
    "palette png, alpha",
    saved(see_through, "PNG", transparency=3),
    expected,
  )
  yield (
    "palette gif, alpha",
    saved(see_through, "GIF", transparency=3),
    expected,
  )


def deep_kinds():
  one, three, four = deep(1), deep(3), deep(4)
  gray = np.repeat(rounded(one)[..., None], 3, -1)
  yield "png 16 gray", png16(one, 0), gray
  yield "png 16 rgb", png16(three, 2), rounded(three)
  four[..., 3] = 65535
  yield "png 16 rgba", png16(four, 6), rounded(four[..., :3])
  for order in "<>":
    yield f"tiff 16 gray {order}", tiff16(one, order, 1), gray
    yield f"tiff 16 rgb {order}", tiff16(three, order, 2), rounded(three)
  yield "tiff 16 min is white", tiff16(one, "<", 0), 255 - gray
  yield "I as tiff", saved(Image.fromarray(one.astype(np.int32)), "TIFF"), gray
  pgm = b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + one.astype(">u2").tobytes()
  yield "pgm 16", pgm, gray


@pytest.mark.parametrize(
  ("source", "expected"),
  [
    pytest.param(source, expected, id=name)
    for name, source, expected in [*exact_kinds(), *deep_kinds()]
  ],
)
def test_lossless_kind_keeps_its_pixels(tmp_path, source, expected):
  image, pixels = cleaned(tmp_path, source)
  assert image.data.startswith(b"\x89PNG")
  np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(
  ("kind", "mode", "options"),
  [
    ("JPEG", "RGB", {}),
    ("JPEG", "RGB", {"progressive": True, "subsampling": 2}),
    ("JPEG", "RGB", {"keep_rgb": True}),
    ("JPEG", "L", {}),
    ("JPEG", "CMYK", {}),
    ("WEBP", "RGB", {}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
  ],
)
def test_lossy_kind_becomes_jpeg_of_the_same_look(
  tmp_path, kind, mode, options
):
  original = Image.fromarray(smooth_rgb()).convert(mode)
  image, pixels = cleaned(
    tmp_path, saved(original, kind, quality=95, **options)
  )
  assert image.data.startswith(b"\xff\xd8")
  error = pixels.astype(int) - np.asarray(original.convert("RGB"))
  assert np.abs(error).mean() < 3


def jpeg_with_metadata():
  """A JPEG with all that may follow a camera, and its plain twin."""
  image = Image.fromarray(smooth_rgb())
  plain = saved(image, "JPEG", quality=80)
  exif = Image.Exif()
  exif[0x010E] = SECRET.decode()
  full = saved(
    image,
    "JPEG",
    quality=80,
    exif=exif,
    comment=SECRET,
    icc_profile=b"profile " + SECRET,
    xmp=b"<x:xmpmeta>" + SECRET,
  )
  iptc = b"Photoshop 3.0\0" + SECRET
  segment = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
  full = full[:2] + segment + full[2:] + b"\xff\xd8" + SECRET
  assert full.count(SECRET) == 6
  return plain, full


def test_small_upright_jpeg_is_copied_without_its_metadata(tmp_path):
  plain, full = jpeg_with_metadata()
  image, pixels = cleaned(tmp_path, full, max_side=WIDTH)
  assert SECRET not in image.data
  assert image.data == plain  # coded data, tables and JFIF segment unchanged


def test_adobe_segment_is_kept_for_its_colour_transform(tmp_path):
  source = saved(Image.fromarray(smooth_rgb()), "JPEG", keep_rgb=True)
  source = source.replace(b"\xff\xee\x00\x0eAdobe", b"\xff\xee\x00\x12Adobe")
  at = source.index(b"Adobe") + 12
  source = source[:at] + b"JANE" + source[at:]
  image, _ = cleaned(tmp_path, source)
  assert b"Adobe" in image.data
  assert b"JANE" not in image.data


def test_metadata_of_other_formats_is_left_behind(tmp_path):
  image = Image.fromarray(smooth_rgb())
  exif = Image.Exif()
  exif[0x010E] = SECRET.decode()
  icc = b"profile " + SECRET
  tags = TiffImagePlugin.ImageFileDirectory_v2()
  tags[270] = SECRET.decode()
  for source in (
    saved(image, "PNG", exif=exif, icc_profile=icc),
    saved(image, "WEBP", exif=exif, icc_profile=icc),
    saved(image, "TIFF", tiffinfo=tags),
    saved(image.quantize(8), "GIF", comment=SECRET),
    saved(Image.fromarray(smooth_rgb(80, 80)), "JPEG", comment=SECRET),
  ):
    assert SECRET in source
    assert SECRET not in cleaned(tmp_path, source, max_side=40)[0].data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_the_pixels(tmp_path, kind, orientation):
  rgb = smooth_rgb()
  seen = {
    1: rgb,
    2: rgb[:, ::-1],
    3: rgb[::-1, ::-1],
    4: rgb[::-1],
    5: rgb.transpose(1, 0, 2),
    6: rgb.transpose(1, 0, 2)[:, ::-1],
    7: rgb[::-1, ::-1].transpose(1, 0, 2),
    8: rgb.transpose(1, 0, 2)[::-1],
  }[orientation]
  exif = Image.Exif()
  exif[0x0112] = orientation
  source = saved(Image.fromarray(rgb), kind, exif=exif, quality=95)
  _, pixels = cleaned(tmp_path, source)
  assert np.abs(pixels.astype(int) - seen).mean() < 3
  _, pixels = cleaned(tmp_path, source, max_side=18)
  assert max(pixels.shape) == 18
  assert np.abs(pixels.astype(int) - seen[::2, ::2]).mean() < 8


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff"])
def test_broken_exif_does_not_make_a_bad_image(tmp_path, exif):
  source = saved(Image.fromarray(smooth_rgb()), "JPEG", exif=exif)
  assert cleaned(tmp_path, source)[0].width == WIDTH


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
  ("height", "width", "expected"),
  [(900, 600, (64, 43)), (64, 65, (63, 64)), (1, 1000, (1, 64))],
)
def test_longer_side_is_shrunk(tmp_path, kind, height, width, expected):
  original = Image.fromarray(smooth_rgb(height, width))
  image, pixels = cleaned(tmp_path, saved(original, kind, quality=95), 64)
  assert (image.height, image.width) == expected
  fair = original.resize(expected[::-1], Image.Resampling.LANCZOS)
  assert np.abs(pixels.astype(int) - np.asarray(fair)).mean() < 2


def test_mpo_gives_its_first_picture(tmp_path):
  first = Image.fromarray(smooth_rgb())
  second = Image.new("RGB", first.size, "red")
  source = saved(first, "MPO", save_all=True, append_images=[second])
  image, pixels = cleaned(tmp_path, source)
  assert image.data.count(b"\xff\xd8\xff") == 1
  assert np.abs(pixels.astype(int) - smooth_rgb()).mean() < 3


def bad_files():
  image = Image.fromarray(smooth_rgb(64, 64))
  more = {"save_all": True, "append_images": [Image.new("RGB", (64, 64))]}
  for kind in ("TIFF", "GIF", "WEBP", "PNG"):
    yield f"pages {kind}", saved(image, kind, **more), "holds 2 pictures"
  for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP"):
    yield f"cut {kind}", saved(image, kind)[:-200], "damaged"
  yield "no end", saved(image, "JPEG")[:-2], "damaged"
  yield "empty", b"", "damaged, or not JPEG"
  yield "text", b"hello " * 99, "damaged, or not JPEG"
  floats = Image.fromarray(np.zeros((4, 4), np.float32))
  yield "float", saved(floats, "TIFF"), "floating-point"
  wide = Image.fromarray(np.full((4, 4), 1 << 20, np.int32))
  yield "32 bits", saved(wide, "TIFF"), "0 to 65535"
  meta = b"\x02\0\0\0UL\4\0\xb4\0\0\0" + bytes(200)
  yield "DICOM", bytes(128) + b"DICM" + meta, "DICOM file without an image"
  yield "DICOM without preamble", meta, "DICOM"
  implicit = b"\x08\0\5\0\x0a\0\0\0ISO_IR 100" + bytes(200)
  yield "DICOM of implicit types", implicit, "DICOM"
  yield "no DICOM", b"\x08\0\5\0\x0b\xff\0\0" + bytes(200), "not JPEG"


@pytest.mark.parametrize(
  ("source", "reason"),
  [pytest.param(s, r, id=name) for name, s, r in bad_files()],
)
def test_bad_image_gives_a_reason_without_its_name(tmp_path, source, reason):
  path = tmp_path / "jane_doe"
  path.write_bytes(source)
  with pytest.raises(BadImageError, match=reason) as caught:
    clean_image(path, 512)
  assert "jane_doe" not in str(caught.value)
  assert "0x" not in str(caught.value)  # no address of an object
  if "damaged (" not in str(caught.value) and "65535" not in reason:
    with pytest.raises(BadImageError, match=reason):
      check_header(path)  # Its header shows it.


def test_decompression_bomb_is_a_bad_image(tmp_path, monkeypatch):
  monkeypatch.setattr(image_bytes.Image, "MAX_IMAGE_PIXELS", 100)
  path = tmp_path / "image"
  path.write_bytes(saved(Image.fromarray(smooth_rgb()), "PNG"))
  with pytest.raises(BadImageError, match="more than 200 pixels"):
    check_header(path)


@pytest.mark.parametrize(
  ("module", "function", "source"),
  [
    (deep_pixels, "gray_to_eight_bits", png16(deep(1), 0)),
    (deep_pixels, "colour_to_eight_bits", png16(deep(3), 2)),
    (image_bytes, "strip_jpeg", saved(Image.fromarray(smooth_rgb()), "JPEG")),
  ],
)
def test_a_fault_of_ours_is_no_bad_image(
  tmp_path, monkeypatch, module, function, source
):
  def faulty(*_):
    raise ValueError("a fault")

  monkeypatch.setattr(module, function, faulty)
  path = tmp_path / "image"
  path.write_bytes(source)
  with pytest.raises(ValueError, match="a fault") as caught:
    clean_image(path, 512)
  assert not isinstance(caught.value, BadImageError)


def test_want_of_memory_is_a_bad_image(tmp_path, monkeypatch):
  def greedy(*_):
    raise MemoryError

  monkeypatch.setattr(deep_pixels, "gray_to_eight_bits", greedy)
  path = tmp_path / "image"
  path.write_bytes(png16(deep(1), 0))
  with pytest.raises(BadImageError, match="not enough memory"):
    clean_image(path, 512)
