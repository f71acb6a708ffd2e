"""Heat maps, against class activation maps and small steps; their check."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tiny
from scipy import stats

from tf_micle.classifier import grad_cam
from tf_micle.classifier.model import Classifier
from tf_micle.classifier.pooling import BagPooling
from tf_micle.encoder.build import (
  build_encoder,
  build_projection_head,
  feature_width,
)
from tf_micle.encoder.heads import linear_head
from tf_micle.evaluation import heat_map_check
from tf_micle.views import photometry
from tf_micle.views.photometry_options import PhotometryOptions

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
CLASS = 1


@pytest.fixture(scope="module")
def encoder():
  tf.keras.utils.set_random_seed(0)  # Some draws give empty maps.
  return build_encoder(tiny.options(image_size=64))


def network(encoder, task="multi_class", mode=None, layer=0):
  """A classifier of three classes with more than one sign in its maps."""
  rng = np.random.default_rng(1)
  width = feature_width(encoder)
  options = tiny.options()
  top = build_projection_head(options, width) if layer else None
  pooling = BagPooling(mode) if mode else None
  head = linear_head(3)
  head.build((None, width))
  if pooling:
    pooling.build((None, None, width))
  for part in filter(None, (top, pooling, head)):
    for variable in part.trainable_variables:
      variable.assign(rng.normal(size=variable.shape) / 3)
  model = Classifier(
    encoder,
    head,
    task=task,
    photometry_options=PhotometryOptions.of(options),
    projection_head=top,
    layer=layer,
    pooling=pooling,
  )
  mean = activations(model).mean(axis=(0, 1, 2))
  along = np.outer(mean, mean @ head.kernel.numpy()) / (mean @ mean)
  head.kernel.assign_sub(along)
  return model


def activations(model):
  points = model.encoder(photometry.to_float(IMAGES), training=False)
  return points["block_group4"].numpy()  # (n, h', w', c)


@pytest.mark.parametrize("case", ["classes", "findings", "bag"])
def test_under_a_linear_head_it_is_the_class_activation_map(encoder, case):
  """Zhou et al. 2016: the head's weights times the activations."""
  model, bag, scale = network(encoder), None, 1
  if case == "findings":
    options = tiny.options(image_size=64, resnet_variant="keras")
    model, scale = network(build_encoder(options), "multi_label"), 2
    model.calibrate([2.0] * 3, [5.0] * 3)
  if case == "bag":
    model, scale = network(encoder, mode="mean"), 1 / 4
    bag = np.ones((1, feature_width(encoder)), np.float32)
  found = grad_cam.grad_cam(model, IMAGES, CLASS, bag)
  blocks, kernel = activations(model), model.head.kernel.numpy()
  assert found.shape == blocks.shape[:3]
  for image, map_ in zip(blocks, found):
    for place in np.ndindex(*map_.shape):
      cam = sum(kernel[:, CLASS] * image[place])
      expected = max(cam, 0) * scale / map_.size
      assert map_[place] == pytest.approx(expected, rel=1e-3, abs=1e-4)
  assert found.any()
  each = grad_cam.grad_cam(model, IMAGES, np.array([0, CLASS, 2]))
  alone = found[1] * (1 if bag is None else 4)
  np.testing.assert_allclose(each[1], alone, rtol=1e-3, atol=1e-4)


def test_what_a_bag_of_attention_says_by_small_steps(encoder):
  """Through projection head and pooling; one image of the bag is not shown."""
  model = network(encoder, mode="attention", layer=1)
  blocks = activations(model)
  hidden = model.features(IMAGES)[2:]
  for class_ in range(3):
    found = grad_cam.grad_cam(model, IMAGES[:2], class_, hidden)
    if found.any():
      break

  def logit(pooled):
    features = tf.concat([model.projected(pooled, training=False), hidden], 0)
    return float(model.logits(model.pooling(features[None]))[0, class_])

  pooled = blocks[:2].mean(axis=(1, 2))  # (2, c)
  for image, map_ in enumerate(found):
    slopes = []
    for k in range(pooled.shape[1]):
      step = np.zeros_like(pooled)
      step[image, k] = 0.01
      slopes.append((logit(pooled + step) - logit(pooled - step)) / 0.02)
    expected = np.maximum(blocks[image] @ np.array(slopes), 0) / map_.size
    np.testing.assert_allclose(map_, expected, atol=0.03 * found.max())
  assert found.any()


def test_random_weights_are_others_and_go_again(two_replicas):
  with two_replicas.scope():
    model = network(build_encoder(tiny.options(image_size=64)))
  own, map_ = model.get_weights(), grad_cam.grad_cam(model, IMAGES, CLASS)
  seen = []
  for seed in (0, 0, 1):
    with (
      contextlib.suppress(KeyError),
      grad_cam.random_weights(model, seed),
    ):
      seen.append(grad_cam.grad_cam(model, IMAGES, CLASS))
      raise KeyError
  assert np.isfinite(seen).all()
  np.testing.assert_array_equal(seen[0], seen[1])
  assert (seen[0] != seen[2]).any()
  for before, after in zip(own, model.get_weights()):
    np.testing.assert_array_equal(before, after)
  np.testing.assert_array_equal(grad_cam.grad_cam(model, IMAGES, CLASS), map_)


def test_the_check_tells_maps_that_stay(monkeypatch):
  """Maps of networks one, two, three; the last image's have no differences."""
  rng = np.random.default_rng(0)
  maps = rng.random((3, 4, 4))
  maps[2] = 0
  others = iter(rng.random((heat_map_check._NETWORKS, 3, 4, 4)))
  drawn = []
  monkeypatch.setattr(
    heat_map_check, "random_weights", lambda *_: contextlib.nullcontext()
  )

  def other(*_):
    drawn.append(next(others))
    return drawn[-1]

  monkeypatch.setattr(heat_map_check, "grad_cam", other)
  found = heat_map_check.similarity(None, IMAGES, [0, 1, 2], maps, seed=0)
  expected = [
    [
      stats.pearsonr(*(stats.rankdata(x[k]) for x in (maps, of))).statistic
      for k in range(2)
    ]
    for of in drawn
  ]
  assert found["mean"] == pytest.approx(np.mean(expected))
  assert found["highest"] == pytest.approx(np.mean(expected, axis=1).max())
  assert not found["too_alike"]

  monkeypatch.setattr(heat_map_check, "grad_cam", lambda *_: maps * 2)
  found = heat_map_check.similarity(None, IMAGES, [0, 1, 2], maps, seed=0)
  assert (found["mean"], found["too_alike"]) == (pytest.approx(1), True)
  flat = np.zeros((3, 4, 4))
  found = heat_map_check.similarity(None, IMAGES, [0, 1, 2], flat, seed=0)
  assert (found["mean"], found["too_alike"]) == (None, False)
