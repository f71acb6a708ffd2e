"""Crops, resizing, flips and rotation on the host."""

import hashlib
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from scipy import ndimage

from data.images.decode import decode
from data.views import geometry, warp

# sha256 of views that TensorFlow Addons 0.23 rotated on TensorFlow 2.15.1.
ROTATED = "7c998c3e819bda33c2f95b93e3a39d90c5864ef28c222cd9a825974387604139"


def ramp(height=40, width=60):
  """An image whose red is the row and whose green is the column."""
  rows, columns = np.mgrid[:height, :width]
  return np.stack([rows * 4, columns * 4, 0 * rows], -1).astype(np.uint8)


def views(image, count, **options):
  """Returns `count` random views, (count, size, size, 3)."""
  return views_of(tf.io.encode_png(image), count, **options)


def views_of(encoded, count, **options):
  """As `views`, of an encoded image."""
  options = geometry.ViewOptions(**{"image_size": 32, **options})
  stream = tf.data.Dataset.range(count).map(
    lambda k: geometry.random_views(
      encoded, tf.stack([np.int64(0), k]), options, count=1
    )
  )
  return stream.unbatch().batch(count).get_single_element().numpy()


def test_crop_areas_and_aspects_are_in_range_and_flips_half():
  drawn = views(ramp(), 400, min_crop_area=0.3, resize_method="bilinear")
  drawn = drawn.astype(float) / 4
  # A crop of h rows resized to 32 spans (h - h / 32) rows of the ramp.
  height = (drawn[:, -1, 0, 0] - drawn[:, 0, 0, 0]) * 32 / 31
  width = (drawn[:, 0, -1, 1] - drawn[:, 0, 0, 1]) * 32 / 31
  area, aspect = height * np.abs(width) / 2400, np.abs(width) / height
  assert area.min() > 0.27
  assert area.max() < 1.03
  assert np.ptp(area) > 0.5
  assert aspect.min() > 0.7
  assert aspect.max() < 1.42
  assert 0.42 < np.mean(width < 0) < 0.58


@pytest.mark.parametrize(
  ("options", "least"),
  [({}, 0.1), ({"min_object_covered": 0.0}, 0.08)],
)
def test_no_crop_is_below_what_must_be_covered(options, least):
  """SimCLR's 0.08 is nominal, unless told otherwise."""
  options = geometry.ViewOptions(32, **options)
  seeds = [tf.constant((0, k), tf.int64) for k in range(200)]
  draw = tf.function(lambda s: geometry._draw_crop((90, 120, 3), s, options))
  areas = [np.prod(draw(s)[1]) / (90 * 120) for s in seeds]
  assert least <= min(areas) < least + 0.02
  assert 0.25 < np.median(areas) < 0.45


@pytest.mark.parametrize("method", geometry.RESIZE_METHODS)
def test_a_whole_crop_is_tensorflows_resize(method):
  image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
  drawn = views(image, 40, min_crop_area=1.0, resize_method=method)
  unflipped = [v for v in drawn if np.array_equal(v, image)]
  flipped = [v for v in drawn if np.array_equal(v, image[:, ::-1])]
  assert unflipped
  assert flipped
  options = geometry.ViewOptions(16, resize_method=method)
  small = geometry.center_view(tf.constant(image), options).numpy()
  expected = tf.image.resize(image, (16, 16), method).numpy()
  np.testing.assert_array_equal(small, np.clip(np.rint(expected), 0, 255))


def test_bicubic_overshoot_saturates():
  image = np.zeros((20, 20, 3), np.uint8)
  image[:, 10:] = 255
  view = geometry.center_view(image, geometry.ViewOptions(31)).numpy()
  edges = np.abs(np.diff(view[15, :, 0].astype(int)))
  assert view[15, 0, 0] == 0
  assert view[15, -1, 0] == 255
  assert (edges > 20).sum() <= 3  # One edge; a wrapped value would add two.


def test_evaluation_takes_the_central_crop_of_large_images_only():
  image = ramp(64, 64)
  whole = geometry.center_view(image, geometry.ViewOptions(32)).numpy()
  crop = geometry.center_view(image, geometry.ViewOptions(56)).numpy()
  assert whole[0, 0, 0] < 8
  np.testing.assert_array_equal(crop, image[4:60, 4:60])


def test_rotation_turns_up_to_its_limit_and_keeps_the_middle():
  image = np.zeros((33, 33, 3), np.uint8)
  image[16, :] = 250
  drawn = views(
    image, 60, image_size=33, min_crop_area=1.0, rotation_degrees=45.0
  )
  np.testing.assert_array_equal(drawn[:, 16, 16, 0] > 200, True)
  angles = []
  for view in drawn:
    rows, columns = np.nonzero(view[..., 0] > 100)
    slope = np.polyfit(columns - 16, rows - 16, 1)[0]
    angles.append(np.degrees(np.arctan(slope)))
  assert max(map(abs, angles)) < 47
  assert np.std(angles) > 15


def test_rotation_is_that_of_tensorflow_addons_to_the_bit():
  """As on TensorFlow 2.15; and as theirs, where it is installed."""
  random = np.random.default_rng(0)
  hashed = hashlib.sha256()
  for angle in np.float32([-0.7, -0.2, 0.1, 0.75]):
    image = random.integers(0, 256, (37, 48, 3), dtype=np.uint8)
    turned = warp.rotate_without_addons(image, angle, "bilinear").numpy()
    hashed.update(turned.tobytes())
    if warp._addons():
      theirs = warp._addons().image.rotate(image, angle, "bilinear")
      np.testing.assert_array_equal(turned, theirs)
  assert hashed.hexdigest() == ROTATED


@pytest.mark.parametrize("shape", [(37, 48), (9, 14)])
def test_one_sampling_is_scipys_of_the_composed_map(shape):
  """From the view to its rotation, less the flow, to the image."""
  random = np.random.default_rng(0)
  image = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
  size, angle, middle = 21, np.float32(0.4), 10
  flow = random.normal(0, 2, (size, size, 2)).astype(np.float32)
  expected, faded = np.zeros((size, size, 3)), 0
  for row, column in np.ndindex(size, size):
    y, x = row - middle, column - middle
    y, x = (
      np.sin(angle) * x + np.cos(angle) * y + middle,
      np.cos(angle) * x - np.sin(angle) * y + middle,
    )
    inside = np.clip(1 - max(-y, y - 20, 0), 0, 1)
    inside *= np.clip(1 - max(-x, x - 20, 0), 0, 1)
    faded += inside < 1
    y, x = np.array([y, x]) - flow[row, column]
    at = (np.array([[y], [x]]) + 0.5) * np.array(shape)[:, None] / size - 0.5
    for k in range(3):
      channel = image[..., k].astype(float)
      (value,) = ndimage.map_coordinates(channel, at, order=1, mode="nearest")
      expected[row, column, k] = inside * value
  view = warp.sample(image, size, angle, flow).numpy()
  assert 20 < faded < 200
  assert np.abs(view - expected).max() < 1


def test_one_sampling_without_a_warp_is_tensorflows_resize():
  random = np.random.default_rng(0)
  for shape in [(37, 48, 3), (20, 90, 3), (1, 5, 3)]:
    image = random.integers(0, 256, shape, dtype=np.uint8)
    expected = tf.image.resize(image, (33, 33), "bilinear").numpy()
    for angle in (None, np.float32(0)):
      view = warp.sample(image, 33, angle).numpy()
      assert np.abs(view - expected).max() < 0.51


def test_one_sampling_turns_and_flips_as_steps_do():
  """Bicubic views are resized first; of a smooth image the same comes out."""
  rows, columns = np.mgrid[:120, :160] / 40
  waves = np.sin(rows), np.cos(rows + columns), np.sin(columns)
  image = (128 + 60 * np.stack(waves, -1)).astype(np.uint8)
  options = {"vertical_flip": True, "rotation_degrees": 45.0}
  steps = views(image, 24, **options).astype(int)
  once = views(image, 24, resize_method="bilinear", **options)
  assert np.abs(steps - once).max() <= 6
  assert np.abs(steps - once[:, :, ::-1]).max() > 60


@pytest.mark.skipif(not warp._addons(), reason="TensorFlow Addons is absent")
def test_elastic_deformation_is_that_of_tensorflow_addons_to_the_bit():
  """So runs that began when it was theirs have the same views."""
  random = np.random.default_rng(0)
  view = random.integers(0, 256, (33, 33, 3), dtype=np.uint8)
  flow = random.normal(0, 2, (33, 33, 2)).astype(np.float32)
  theirs = warp._addons().image.dense_image_warp(
    view[None].astype(np.float32), flow[None]
  )[0]
  moved = warp.sample(view, 33, flow=flow)
  np.testing.assert_array_equal(moved, np.rint(theirs))


def test_half_the_views_are_upside_down():
  options = {"min_crop_area": 1.0, "vertical_flip": True}
  drawn = views(ramp(), 200, **options)[:, :, 16, 0].astype(int)
  assert 0.4 < np.mean(drawn[:, 0] > drawn[:, -1]) < 0.6


def test_half_the_views_are_equalised_as_pillow_does():
  draw = np.random.default_rng(1)
  image = draw.normal(90, 12, (32, 32, 3)).clip(0, 255).astype(np.uint8)
  options = {"min_crop_area": 1.0, "horizontal_flip": False, "equalize": True}
  drawn = views(image, 60, **options)
  gray = tf.image.rgb_to_grayscale(image).numpy()[..., 0]
  expected = np.asarray(ImageOps.equalize(Image.fromarray(gray)))[..., None]
  plain = (drawn == image).all(axis=(1, 2, 3))
  equalised = (drawn == expected).all(axis=(1, 2, 3))
  assert (plain ^ equalised).all()
  assert 0.3 < equalised.mean() < 0.7


@pytest.mark.parametrize("shape", [(1, 1), (15, 17), (1, 300), (50, 60)])
def test_equalisation_of_few_pixels_or_levels_is_pillows(shape):
  draw = np.random.default_rng(0)
  for levels in ([77], [3, 250], range(40, 90)):
    gray = draw.choice(levels, shape).astype(np.uint8)
    expected = np.asarray(ImageOps.equalize(Image.fromarray(gray)))
    found, table = geometry._equalization(gray[..., None].repeat(3, axis=2))
    np.testing.assert_array_equal(found[..., 0], gray)
    equalised = table.numpy()[gray]
    np.testing.assert_array_equal(equalised, expected[..., None].repeat(3, 2))


def test_elastic_deformation_is_smooth_and_as_large_as_told():
  """A 64 pixel ramp shows by its values where each pixel came from."""
  image = ramp(64, 64) // 4 * 3
  options = {"min_crop_area": 1.0, "horizontal_flip": False, "image_size": 64}
  drawn = views(image, 300, elastic=True, **options)
  moved = (drawn.astype(float) - image)[..., :2] / 3  # (300, 64, 64, 2)
  assert 1.05 < moved[:, 32, 32].std() < 1.45  # 64 x 10 / 512 = 1.25
  assert np.abs(moved[:, 32, 32].mean()) < 0.25
  # Neighbours move alike: by rounding, and a slope of the grid's.
  assert np.abs(np.diff(moved[:, 8:56, 8:56], axis=2)).max() < 1
  again = views(image, 300, elastic=True, **options)
  np.testing.assert_array_equal(drawn, again)


def test_decode_reads_grey_and_palette_as_three_channels():
  grey = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
  for encode in (tf.io.encode_png, tf.io.encode_jpeg):
    decoded = decode(encode(grey))
    assert decoded.shape == (4, 4, 3)
    assert decoded.dtype == tf.uint8


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_jpegs_views_are_those_of_the_whole_image(subsampling, progressive):
  pixels = np.random.default_rng(0).integers(0, 256, (101, 131, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(pixels).save(
    file, "JPEG", quality=60, subsampling=subsampling, progressive=progressive
  )
  encoded = file.getvalue()
  options = {"min_crop_area": 0.01, "min_object_covered": 0.0}
  whole = views(decode(encoded).numpy(), 40, **options)
  np.testing.assert_array_equal(views_of(encoded, 40, **options), whole)


def test_two_views_of_an_image_differ():
  views = geometry.random_views(
    tf.io.encode_png(ramp()), [0, 1], geometry.ViewOptions(32), count=2
  )
  assert views.shape == (2, 32, 32, 3)
  assert (views[0] != views[1]).numpy().mean() > 0.5
