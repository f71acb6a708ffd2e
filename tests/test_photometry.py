"""Photometry against tf.image, naive loops and its distributions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
import tiny

import run
from tf_micle.views import photometry
from tf_micle.views.photometry_options import PhotometryOptions

_ALL_OFF = PhotometryOptions(0.0, 0.0, 0.0, 0.0)


def _images(n=16, height=40, width=30, seed=0):
  """Noise, with a gray, a black, a white and a saturated corner."""
  images = np.random.default_rng(seed).integers(0, 256, (n, height, width, 3))
  images[:, :4, :4] = 100
  images[:, -4:, :4] = 0
  images[:, :4, -4:] = 255
  images[:, -4:, -4:] = (0, 255, 0)
  return tf.constant(images, tf.uint8)


def _draw(n=16, seed=(1, 2), options=None):
  return photometry.draw(seed, n, options or PhotometryOptions())


def _naive_blur(image, sigma):
  radius = min(int(image.shape[0] // 10 / 2), image.shape[1])
  kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
  kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
  filters = np.repeat(kernel[:, :, None, None], 3, axis=2)
  edges = ((0, 0), (radius, radius), (radius, radius), (0, 0))
  around = np.pad(image[None], edges, "symmetric")
  return tf.nn.depthwise_conv2d(
    around, tf.constant(filters, tf.float32), (1, 1, 1, 1), "VALID"
  )[0]


def _naive(image, *, order, brightness, contrast, saturation, hue, gray, sigma):
  """One image, with tf.image; None for what is not applied."""
  image = tf.cast(image, tf.float32) / 255
  operations = [
    lambda x: x * brightness,
    lambda x: tf.image.adjust_contrast(x, contrast),
    lambda x: tf.image.adjust_saturation(x, saturation),
    lambda x: tf.image.adjust_hue(x, hue),
  ]
  for index in () if order is None else order:
    image = tf.clip_by_value(operations[index](image), 0, 1)
  if gray:
    image = tf.repeat(tf.image.rgb_to_grayscale(image), 3, axis=-1)
  if sigma is not None:
    image = tf.clip_by_value(_naive_blur(image, sigma), 0, 1)
  return image.numpy()


def _naive_apply(images, parameters):
  jitter, grayscale, blur = tf.nest.map_structure(
    lambda t: t.numpy(), parameters
  )
  return np.stack(
    [
      _naive(
        image,
        order=jitter.order[i] if jitter.applied[i] else None,
        brightness=jitter.brightness[i],
        contrast=jitter.contrast[i],
        saturation=jitter.saturation[i],
        hue=jitter.hue[i],
        gray=grayscale.applied[i],
        sigma=blur.sigma[i] if blur.applied[i] else None,
      )
      for i, image in enumerate(images)
    ]
  )


@pytest.mark.parametrize(
  ("name", "low", "high"),
  [
    ("brightness", 0, 2),
    ("contrast", 0, 2),
    ("saturation", 0, 2),
    ("hue", -0.5, 0.5),
  ],
)
def test_each_jitter_matches_tf_image(name, low, high):
  n = 9
  values = tf.linspace(float(low), float(high), n)
  neutral = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0}
  jitter = photometry.Jitter(
    applied=tf.fill((n,), True),
    order=tf.tile([[0, 1, 2, 3]], (n, 1)),
    **{
      key: values if key == name else tf.fill((n,), float(value))
      for key, value in neutral.items()
    },
  )
  images = _images(n)
  actual = photometry.apply(images, photometry.Parameters(jitter=jitter))
  reference = {
    "brightness": lambda x, value: x * value,
    "contrast": tf.image.adjust_contrast,
    "saturation": tf.image.adjust_saturation,
    "hue": tf.image.adjust_hue,
  }[name]
  for i, image in enumerate(images):
    expected = reference(tf.cast(image, tf.float32) / 255, values[i])
    np.testing.assert_allclose(actual[i], np.clip(expected, 0, 1), atol=1e-5)


def test_grayscale_matches_tf_image():
  parameters = _draw(options=PhotometryOptions(0.0, 0.0, 1.0, 0.0))
  expected = tf.image.rgb_to_grayscale(tf.cast(_images(), tf.float32) / 255)
  np.testing.assert_allclose(
    photometry.apply(_images(), parameters),
    tf.repeat(expected, 3, axis=-1),
    atol=1e-5,
  )


@pytest.mark.parametrize("shape", [(40, 30), (64, 64), (9, 70), (200, 9)])
def test_blur_matches_depthwise_convolution(shape):
  images = _images(5, *shape)
  blur = photometry.Blur(
    applied=tf.constant([True, True, False, True, True]),
    sigma=tf.constant([0.1, 0.5, 1.0, 1.5, 2.0]),
  )
  actual = photometry.apply(images, photometry.Parameters(blur=blur))
  for i, image in enumerate(tf.cast(images, tf.float32) / 255):
    blurred = _naive_blur(image, float(blur.sigma[i]))
    expected = blurred if blur.applied[i] else image
    np.testing.assert_allclose(actual[i], expected, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_matches_naive_loop(jit_compile):
  """The whole, however it is run: eagerly, as a graph, compiled by XLA."""
  images, parameters = _images(24), _draw(24, seed=(3, 4))
  applied = [part.applied.numpy() for part in parameters]
  assert all(0 < part.sum() < 24 for part in applied)
  run = photometry.augment
  if jit_compile is not None:
    run = tf.function(run, jit_compile=jit_compile)
  actual = run(images, tf.constant((3, 4)), PhotometryOptions())
  assert actual.dtype == tf.float32
  np.testing.assert_allclose(
    actual, _naive_apply(images, parameters), atol=1e-5
  )


def test_draws_have_the_recipe_s_distribution():
  n = 24_000
  jitter, grayscale, blur = _draw(n)
  for applied, probability in [
    (jitter.applied, 0.8),
    (grayscale.applied, 0.2),
    (blur.applied, 0.5),
  ]:
    error = np.sqrt(probability * (1 - probability) / n)
    assert abs(np.mean(applied) - probability) < 4 * error
  for values, low, high in [
    (jitter.brightness, 0.2, 1.8),
    (jitter.contrast, 0.2, 1.8),
    (jitter.saturation, 0.2, 1.8),
    (jitter.hue, -0.2, 0.2),
    (blur.sigma, 0.1, 2.0),
  ]:
    counts, _ = np.histogram(values, bins=20, range=(low, high))
    assert counts.sum() == n
    assert _chi_square(counts) < 43.8  # 19 degrees of freedom, p = 0.001
  codes = jitter.order.numpy() @ (64, 16, 4, 1)
  _, counts = np.unique(codes, return_counts=True)
  assert len(counts) == 24
  assert _chi_square(counts) < 49.7  # 23 degrees of freedom, p = 0.001


def _chi_square(counts):
  expected = counts.sum() / len(counts)
  return np.sum((counts - expected) ** 2 / expected)


def test_draws_are_independent_of_each_other():
  jitter, grayscale, blur = _draw(20_000)
  columns = [*jitter._asdict().values(), *grayscale, *blur]
  columns = [np.reshape(column, (20_000, -1)).T for column in columns]
  correlation = np.corrcoef(np.concatenate(columns).astype(float))
  correlation[1:5, 1:5] = 0  # The places of one permutation exclude each other.
  np.fill_diagonal(correlation, 0)
  assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_strength_sets_the_ranges(strength):
  jitter = _draw(4000, options=PhotometryOptions(strength)).jitter
  low, high = max(1 - 0.8 * strength, 0), 1 + 0.8 * strength
  for factors in (jitter.brightness, jitter.contrast, jitter.saturation):
    assert low <= np.min(factors) < low + 0.01
    assert high - 0.01 < np.max(factors) <= high
  assert 0.19 * strength < np.max(np.abs(jitter.hue)) <= 0.2 * strength


def test_moments_match_an_independent_implementation():
  n = 400
  image = _images(1, 20, 20)[0]
  rng = np.random.default_rng(0)
  expected = [
    _naive(
      image,
      order=rng.permutation(4) if rng.random() < 0.8 else None,
      brightness=rng.uniform(0.2, 1.8),
      contrast=rng.uniform(0.2, 1.8),
      saturation=rng.uniform(0.2, 1.8),
      hue=rng.uniform(-0.2, 0.2),
      gray=rng.random() < 0.2,
      sigma=rng.uniform(0.1, 2.0) if rng.random() < 0.5 else None,
    )
    for _ in range(n)
  ]
  images = tf.repeat(image[None], n, axis=0)
  actual = photometry.augment(images, (5, 6), PhotometryOptions())
  for statistic in (np.mean, np.std):
    ours = statistic(actual, axis=(1, 2))  # (n, 3)
    theirs = statistic(expected, axis=(1, 2))
    for moment in (np.mean, np.std):
      # The error of a mean over n; that of a deviation is no larger here.
      error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / n)
      difference = moment(ours, axis=0) - moment(theirs, axis=0)
      assert np.all(np.abs(difference) < 4 * error)


def test_seed_decides():
  first, again, other = (
    photometry.augment(_images(), seed, PhotometryOptions())
    for seed in [(1, 2), (1, 2), (1, 3)]
  )
  np.testing.assert_array_equal(first, again)
  assert np.mean(np.not_equal(first, other)) > 0.5


def test_rows_do_not_depend_on_their_batch():
  images, parameters = _images(8), _draw(8)
  whole = photometry.apply(images, parameters)
  part = tf.nest.map_structure(lambda t: t[4:], parameters)
  np.testing.assert_allclose(
    photometry.apply(images[4:], part), whole[4:], atol=1e-6
  )


def test_a_part_that_is_off_draws_nothing_and_changes_no_other_draw():
  everything = _draw()
  for name in ("jitter", "grayscale", "blur"):
    part = (
      "color_jitter_strength" if name == "jitter" else f"{name}_probability"
    )
    parameters = _draw(options=PhotometryOptions(**{part: 0.0}))
    assert getattr(parameters, name) == ()
    for other in {"jitter", "grayscale", "blur"} - {name}:
      tf.nest.map_structure(
        np.testing.assert_array_equal,
        getattr(parameters, other),
        getattr(everything, other),
      )


def test_all_off_is_to_float_of_any_number_of_channels():
  images = _images()[..., :1]
  np.testing.assert_array_equal(
    photometry.augment(images, (1, 2), _ALL_OFF), photometry.to_float(images)
  )
  assert np.max(photometry.to_float(_images())) == 1


def test_image_that_draws_nothing_is_untouched():
  never = tf.fill((16,), False)
  jitter, grayscale, blur = _draw()
  parameters = photometry.Parameters(
    jitter._replace(applied=never),
    grayscale._replace(applied=never),
    blur._replace(applied=never),
  )
  np.testing.assert_array_equal(
    photometry.apply(_images(), parameters), photometry.to_float(_images())
  )


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_range_is_zero_to_one(strength):
  options = PhotometryOptions(strength, 1.0, 0.5, 0.5)
  actual = photometry.augment(_images(64), (7, 8), options)
  assert np.min(actual) >= 0
  assert np.max(actual) <= 1


@pytest.mark.parametrize(
  "images",
  [
    tf.zeros((2, 8, 8, 3)),
    tf.zeros((8, 8, 3), tf.uint8),
    tf.zeros((2, 8, 8, 1), tf.uint8),
  ],
)
def test_refuses_other_images(images):
  with pytest.raises(ValueError, match="Expected images .*Received: "):
    photometry.apply(images, _draw(2))


@pytest.mark.parametrize(
  "argument",
  [
    {"color_jitter_strength": -1.0},
    {"jitter_probability": 1.5},
    {"grayscale_probability": -0.1},
    {"blur_probability": float("nan")},
  ],
)
def test_options_refuse_what_is_out_of_range(argument):
  (name,) = argument
  with pytest.raises(ValueError, match=f"Expected {name} .*Received: {name}="):
    PhotometryOptions(**argument)


def test_a_run_of_an_older_version_is_told_that_its_views_change(
  demo_records, tmp_path, caplog
):
  given = {"data_dir": demo_records, "model_dir": tmp_path}
  given.update(rotation_degrees=10, resize_method="bilinear")
  assert tiny.command(**given, train_steps=1) == run.DONE
  facts = json.loads((tmp_path / "provenance.json").read_text())
  del facts["blur_edges"], facts["warps"]
  (tmp_path / "provenance.json").write_text(json.dumps(facts))
  assert "begun by a version" not in caplog.text
  assert tiny.command(**given, train_steps=2) == run.DONE
  for said in ("blur darkened the edges", "interpolated once"):
    assert caplog.text.count(said) == 1
