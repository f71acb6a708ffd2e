"""Encoded images to views in TensorFlow alone, as builder and evaluation do."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data.images import image_bytes
from data.images.decode import decode
from data.views import encoded_image, geometry

OPTIONS = geometry.ViewOptions(image_size=40)
MAX_SIDE = 200


@pytest.fixture(scope="module")
def picture():
  """A smooth picture, as photographs are, of 120 x 90 pixels."""
  draw = np.random.default_rng(0)
  pixels = draw.integers(0, 256, (6, 8, 3), np.uint8)
  return Image.fromarray(pixels).resize((120, 90), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def to_views():
  return tf.function(
    lambda encoded: encoded_image.to_views(encoded, OPTIONS, MAX_SIDE),
    autograph=False,
    input_signature=[tf.TensorSpec((None,), tf.string)],
  )


def encode(picture, kind, orientation=None, **options):
  if orientation:
    options["exif"] = Image.Exif()
    options["exif"][0x0112] = orientation
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return file.getvalue()


def from_record(tmp_path, encoded):
  """The view that evaluation has of what the builder stores."""
  path = tmp_path / "image"
  path.write_bytes(encoded)
  record = image_bytes.clean_image(path, MAX_SIDE).data
  return geometry.center_view(decode(record), OPTIONS).numpy()


def shallow_png(depth):
  """A gray PNG of less than 8 bits, which Pillow does not write."""
  values = np.add.outer(np.arange(90), np.arange(120)) % 2**depth
  bits = [np.unpackbits(r.astype(np.uint8)[:, None], axis=1) for r in values]
  rows = b"".join(b"\0" + np.packbits(b[:, -depth:]).tobytes() for b in bits)

  def chunk(kind, body):
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

  header = struct.pack(">IIBBBBB", 120, 90, depth, 0, 0, 0, 0)
  return b"\x89PNG\r\n\x1a\n" + b"".join(
    [
      chunk(b"IHDR", header),
      chunk(b"IDAT", zlib.compress(rows)),
      chunk(b"IEND", b""),
    ]
  )


def kinds(picture):
  alpha = picture.copy()
  alpha.putalpha(picture.convert("L").rotate(180))
  deep = np.asarray(picture)[..., 0].astype(np.uint16) * 251
  return {
    "jpeg": encode(picture, "JPEG"),
    "progressive": encode(picture, "JPEG", progressive=True),
    "gray jpeg": encode(picture.convert("L"), "JPEG"),
    "png": encode(picture, "PNG"),
    "alpha": encode(alpha, "PNG"),
    "gray alpha": encode(alpha.convert("LA"), "PNG"),
    "palette": encode(picture.quantize(200), "PNG"),
    "small palette": encode(picture.quantize(9), "PNG", bits=4),
    "palette with alpha": encode(alpha.quantize(64), "PNG"),
    "16 bits": encode(Image.fromarray(deep), "PNG"),
    "1 bit": encode(picture.convert("1"), "PNG"),
    "2 bits": shallow_png(2),
    "4 bits": shallow_png(4),
    "gif": encode(picture, "GIF"),
    "bmp": encode(picture, "BMP"),
    **{f"png {o}": encode(picture, "PNG", o) for o in range(1, 9)},
  }


def test_views_are_those_of_the_records(picture, to_views, tmp_path):
  """To the last bit, where the builder does not code a JPEG anew."""
  files = kinds(picture)
  views = to_views(list(files.values())).numpy()
  for name, view in zip(files, views):
    expected = from_record(tmp_path, files[name])
    np.testing.assert_array_equal(view, expected, err_msg=name)


@pytest.mark.parametrize("little", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_upright(picture, orientation, little):
  encoded = encode(picture, "JPEG", orientation)
  if little:
    start = encoded.index(b"Exif\0\0") + 6
    tiff = struct.pack(
      "<2sHIHHHIHH", b"II", 42, 8, 1, 274, 3, 1, orientation, 0
    )
    length = int.from_bytes(encoded[start - 8 : start - 6], "big") - 8
    tiff = tiff.ljust(length, b"\0")
    encoded = encoded[:start] + tiff + encoded[start + length :]
  assert int(encoded_image.orientation(encoded)) == orientation
  found = encoded_image.turn_upright(decode(encoded), orientation)
  by_pillow = image_bytes._UPRIGHT.get(orientation)
  expected = Image.fromarray(decode(encoded).numpy())
  if by_pillow is not None:
    expected = expected.transpose(by_pillow)
  np.testing.assert_array_equal(found, np.asarray(expected))


def test_large_images_are_shrunk_nearly_as_the_builder_does(
  picture, to_views, tmp_path
):
  """Two rounding errors apart; a JPEG is also coded anew by the builder."""
  large = picture.resize((480, 360), Image.Resampling.BICUBIC)
  for kind, most, mean in (("PNG", 2, 0.3), ("JPEG", 8, 1.5)):
    encoded = encode(large, kind, orientation=6)
    view = to_views([encoded])[0].numpy().astype(int)
    difference = np.abs(view - from_record(tmp_path, encoded))
    assert difference.max() <= most
    assert difference.mean() < mean


def test_what_cannot_be_decoded_is_an_error(picture, to_views):
  good = encode(picture, "JPEG")
  png = encode(picture, "PNG")
  turning = [picture.rotate(90 * i) for i in range(3)]
  bad = {
    "empty": b"",
    "text": b"not an image",
    "cut": good[: len(good) * 9 // 10],
    "cut png": png[: len(png) // 2],
    "film": encode(picture, "GIF", save_all=True, append_images=turning),
  }
  if tf.__version__.startswith("2.15."):  # Later ones decode it.
    bad["webp"] = encode(picture, "WEBP")
  for encoded in bad.values():
    with pytest.raises(tf.errors.InvalidArgumentError):
      to_views([good, encoded])
  assert to_views([good]).shape == (1, 40, 40, 3)
  assert to_views(tf.constant([], tf.string)).shape == (0, 40, 40, 3)


def test_broken_exif_leaves_the_picture_as_it_is(picture, to_views):
  good = encode(picture, "JPEG", 6)
  start = good.index(b"Exif\0\0") + 6
  draw = np.random.default_rng(0)
  upright = geometry.center_view(decode(good), OPTIONS)
  for _ in range(50):
    noise = draw.integers(0, 256, 14, np.uint8).tobytes()
    broken = good[:start] + noise + good[start + 14 :]
    view = to_views([broken])[0]
    if int(encoded_image.orientation(broken)) == 1:
      np.testing.assert_array_equal(view, upright)


def test_what_only_pillow_decodes_is_coded_anew(picture, to_views):
  """Pillow does not look at checksums; TensorFlow refuses wrong ones."""
  png = bytearray(encode(picture, "PNG"))
  png[-17] ^= 1  # In the checksum of the pixels, before the closing chunk.
  with pytest.raises(tf.errors.InvalidArgumentError):
    to_views([bytes(png)])
  again = image_bytes.decodable_bytes(bytes(png), MAX_SIDE)
  expected = to_views([encode(picture, "PNG")])
  np.testing.assert_array_equal(to_views([again]), expected)
