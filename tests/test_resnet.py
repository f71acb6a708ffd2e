"""ResNet encoder: its size, end points, padding and blocks."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.classifier import freezing
from tf_micle.encoder import layers, residual_blocks, resnet, variants


def _images(size=32, n=4, seed=0):
  rng = np.random.default_rng(seed)
  return tf.constant(rng.random((n, size, size, 3)), tf.float32)


def _tiny(**kwargs):
  arguments = {"depth": 18, "width_multiplier": 0.125, "small_stem": True}
  return resnet.resnet(**{**arguments, **kwargs})


def _num_trainable(model):
  return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


# Torchvision's counts without the classifier. Its 18 and 34 have no projection
# in the first group; SimCLR's has 64 * 64 weights and 2 * 64 of BatchNorm.
@pytest.mark.parametrize(
  ("depth", "parameters"),
  [
    (18, 11_176_512 + 4_224),
    (34, 21_284_672 + 4_224),
    (50, 23_508_032),
  ],
)
def test_parameter_count(depth, parameters):
  assert _num_trainable(resnet.resnet(depth=depth)) == parameters


def test_parameter_count_with_selective_kernels():
  # 35 million, in the table of published models in SimCLR's README.
  count = _num_trainable(resnet.resnet(depth=50, sk_ratio=0.0625))
  assert round(count / 1e6) == 35


@pytest.mark.parametrize(("depth", "blocks"), [(101, 33), (152, 50), (200, 66)])
def test_deep_networks_build(depth, blocks):
  model = resnet.resnet(depth=depth, width_multiplier=0.25)
  names = [layer.name for layer in model.layers]
  assert sum(name.startswith("block_group") for name in names) == blocks
  assert model.output_shape["final_avg_pool"] == (None, 512)


@pytest.mark.parametrize(
  ("depth", "sk_ratio", "expansion"),
  [(18, 0.0, 1), (18, 0.0625, 1), (50, 0.0625, 4)],
)
def test_end_point_shapes(depth, sk_ratio, expansion):
  model = resnet.resnet(
    depth=depth, width_multiplier=0.25, sk_ratio=sk_ratio, image_size=224
  )
  assert model.output_shape == {
    "initial_conv": (None, 112, 112, 16),
    "initial_max_pool": (None, 56, 56, 16),
    "block_group1": (None, 56, 56, 16 * expansion),
    "block_group2": (None, 28, 28, 32 * expansion),
    "block_group3": (None, 14, 14, 64 * expansion),
    "block_group4": (None, 7, 7, 128 * expansion),
    "final_avg_pool": (None, 128 * expansion),
  }


def test_small_stem_keeps_resolution():
  shapes = _tiny(image_size=32).output_shape
  assert shapes["initial_max_pool"] == (None, 32, 32, 8)
  assert shapes["block_group4"] == (None, 4, 4, 64)


def test_width_rounds_to_whole_channels():
  widths = [64 * 0.3, 128 * 0.3, 256 * 0.3, 512 * 0.3]
  shapes = _tiny(width_multiplier=0.3).output_shape
  groups = [shapes[f"block_group{group}"][-1] for group in range(1, 5)]
  assert groups == [round(width) for width in widths]
  wide = _tiny(width_multiplier=2)
  assert wide.output_shape["final_avg_pool"] == (None, 1024)


def test_strided_conv_pads_alike_on_both_sides():
  # SAME padding would pad an even-sized image below and right only.
  conv = layers.FixedPaddingConv(1, 3, strides=2)
  conv.build((None, 4, 4, 1))
  images = _images(4, n=1)[..., :1]
  conv(images)
  kernel = conv.conv2d.kernel.numpy()[:, :, 0, 0]
  padded = np.pad(images[0, :, :, 0].numpy(), 1)
  expected = [
    [np.sum(padded[i : i + 3, j : j + 3] * kernel) for j in (0, 2)]
    for i in (0, 2)
  ]
  np.testing.assert_allclose(conv(images)[0, :, :, 0], expected, rtol=1e-5)


def test_selective_kernels_match_naive_numpy():
  filters = 4
  layer = layers.SelectiveKernelConv(filters, 2, 0.5, 0.9, False)
  images = _images(8)
  outputs = layer(images, training=False).numpy()
  streams = layer.streams(images, training=False).numpy()
  weights = layer.mixing_weights(streams, training=False).numpy()

  assert outputs.shape == (4, 4, 4, filters)
  np.testing.assert_allclose(weights.sum(axis=3), 1, rtol=1e-6)
  both = layer.bn(layer.conv(images)).numpy()
  first, second = both[..., :filters], both[..., filters:]
  pooled = (first + second).mean(axis=(1, 2))
  kernels = [
    mix.conv2d.kernel.numpy()[0, 0]
    for mix in (layer.mix_conv1, layer.mix_conv2)
  ]
  assert kernels[0].shape == (filters, 32)
  # BatchNorm is as it starts: only its epsilon shows.
  hidden = np.maximum(pooled @ kernels[0] / np.sqrt(1 + 1e-5), 0)
  odds = np.exp(hidden @ kernels[1])
  share = odds[:, :filters] / (odds[:, :filters] + odds[:, filters:])
  share = share[:, None, None, :]
  np.testing.assert_allclose(
    outputs, share * first + (1 - share) * second, rtol=1e-4, atol=1e-6
  )


@pytest.mark.parametrize("variant", variants.VARIANTS)
def test_compiles_under_xla_with_the_same_result(variant):
  model = _tiny(variant=variant, small_stem=False)
  block = residual_blocks.BottleneckBlock(8, 2, True, 0.0625, 0.9, True)

  def run(images):
    features = model(images, training=True)["final_avg_pool"]
    return features, block(images, training=True)

  images = _images(16)
  compiled = tf.function(run, jit_compile=True)
  for actual, expected in zip(compiled(images), run(images)):
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("depth", "sk_ratio"), [(18, 0.0), (50, 0.0625)])
def test_gradients_reach_every_variable(depth, sk_ratio):
  model = _tiny(depth=depth, sk_ratio=sk_ratio, small_stem=False)
  for variable in model.trainable_variables:
    if not np.any(variable):  # Betas, and the gammas that start at zero.
      variable.assign(tf.random.stateless_uniform(variable.shape, (1, 2)))
  with tf.GradientTape() as tape:
    features = model(_images(64), training=True)["final_avg_pool"]
    loss = tf.reduce_sum(features**2)
  gradients = tape.gradient(loss, model.trainable_variables)
  for variable, gradient in zip(model.trainable_variables, gradients):
    assert gradient is not None, variable.name
    assert np.any(gradient), variable.name


def test_blocks_start_as_their_shortcut():
  block = residual_blocks.ResidualBlock(3, 1, False, 0.0, 0.9, False)
  images = _images(8)
  np.testing.assert_array_equal(block(images, training=True), images)


def test_freezing_a_block_stops_its_statistics():
  model = _tiny()
  block = model.get_layer("block_group1_0")
  block.trainable = False
  before = [v.numpy() for v in block.variables]
  model(_images(), training=True)
  for variable, value in zip(block.variables, before):
    np.testing.assert_array_equal(variable, value)
  moving = model.get_layer("block_group1_1").residual[1].bn.moving_mean
  assert np.any(moving)


def test_precision_is_the_argument_and_not_the_global_policy():
  tf.keras.mixed_precision.set_global_policy("mixed_float16")
  try:
    model, mixed = _tiny(), _tiny(dtype="mixed_bfloat16", sk_ratio=0.0625)
  finally:
    tf.keras.mixed_precision.set_global_policy("float32")
  assert {x.dtype for x in model(_images()).values()} == {tf.float32}
  endpoints = mixed(_images())
  assert endpoints.pop("final_avg_pool").dtype == tf.float32
  assert {x.dtype for x in endpoints.values()} == {tf.bfloat16}
  assert {v.dtype for v in mixed.variables} == {tf.float32}


def test_sync_batch_norm_reaches_every_layer():
  model = _tiny(sync_batch_norm=True, batch_norm_decay=0.5)
  norms = [
    module
    for module in model.submodules
    if isinstance(module, tf.keras.layers.BatchNormalization)
  ]
  assert len(norms) == 1 + 8 * 2 + 4
  assert all(norm.synchronized and norm.momentum == 0.5 for norm in norms)


def test_checkpoint_round_trip(tmp_path):
  first, second = _tiny(), _tiny()
  first(_images(), training=True)
  path = tf.train.Checkpoint(encoder=first).write(str(tmp_path / "weights"))
  tf.train.Checkpoint(encoder=second).read(path).assert_consumed()
  for key, value in first(_images()).items():
    np.testing.assert_array_equal(second(_images())[key], value)


@pytest.mark.parametrize(
  "argument",
  [
    {"depth": 51},
    {"width_multiplier": 0},
    {"sk_ratio": -0.1},
    {"variant": "caffe"},
    {"batch_norm_decay": 1.0},
  ],
)
def test_errors_say_what_was_expected(argument):
  (name,) = argument
  with pytest.raises(ValueError, match=f"Expected {name} .*Received: {name}="):
    _tiny(**argument)


@pytest.mark.parametrize("variant", ["keras", "torch"])
def test_variants_train_as_the_network_does(variant):
  """In bfloat16, run again in the backward pass, and frozen."""
  networks = []
  for remat in (False, True):
    tf.keras.utils.set_random_seed(1)
    networks.append(
      resnet.resnet(
        depth=50,
        width_multiplier=0.0625,
        variant=variant,
        dtype="mixed_bfloat16",
        remat=remat,
      )
    )

  def step(model):
    with tf.GradientTape() as tape:
      features = model(_images(40), training=True)["final_avg_pool"]
      loss = tf.reduce_sum(features**2)
    return loss, tape.gradient(loss, model.trainable_variables)

  plain, again = (step(model) for model in networks)
  np.testing.assert_array_equal(plain[0], again[0])
  for one, other in zip(plain[1], again[1]):
    np.testing.assert_array_equal(one, other)
  freezing.freeze(networks[0], None, after_block=0, layer=0)
  frozen = [v for v in networks[0].variables if "initial" in v.name]
  assert frozen
  trained = {id(v) for v in networks[0].trainable_variables}
  assert not trained & {id(v) for v in frozen}
  biases = [v for v in networks[0].variables if v.name.endswith("/bias:0")]
  assert len(biases) == (53 if variant == "keras" else 0)


def test_simclrs_keys_stay_what_they_were():
  """Checkpoints of before there were variants hang on them."""
  names = [layer.name for layer in _tiny(small_stem=False).layers]
  assert names[:5] == [
    "images",
    "initial_conv",
    "initial_bn",
    "initial_max_pool",
    "block_group1_0",
  ]
