"""ResNets put together from Keras's own layers, and files of their weights.

They are the oracle for the encoder's variants: written in the order in which
tf.keras.applications and torchvision compute, with layers named as in
tf.keras.applications.
"""

import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

from tf_micle.encoder import resnet

layers = tf.keras.layers
EPSILON = {"keras": 1.001e-5, "torch": 1e-5}
TORCH_LAYERS = {"gamma": "weight", "beta": "bias", "kernel": "weight"}
TORCH_LAYERS.update(moving_mean="running_mean", moving_variance="running_var")


def network(variant, *, depth=50, width=4, classes=None, seed=0):
  """Returns a Keras model of images in [0, 1] to pooled features, or classes.

  Args:
    variant: 'keras' or 'torch'.
    depth: of the ResNet.
    width: filters of the stem.
    classes: outputs of a softmax classifier on top, or None.
    seed: of the weights and statistics, all of them random.
  """
  sizes, bottlenecks = resnet.group_sizes(depth)
  images = layers.Input((None, None, 3))
  x = _normalised(images, variant)
  x = _conv(x, "conv1_conv", width, 7, 2, variant)
  x = layers.ReLU()(_norm(x, "conv1_bn", variant))
  x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
  for group, size in enumerate(sizes):
    for index in range(size):
      x = _block(
        x,
        f"conv{group + 2}_block{index + 1}",
        width * 2**group,
        2 if group and not index else 1,
        bottlenecks,
        variant,
      )
  x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
  if classes:
    x = layers.Dense(classes, "softmax", name="predictions")(x)
  model = tf.keras.Model(images, x)
  rng = np.random.default_rng(seed)
  last = f"_{3 if bottlenecks else 2}_bn/gamma"
  for variable in model.variables:
    value = _drawn(rng, variable)
    # A block's last scale is small, so that sums over blocks do not grow.
    variable.assign(value / 10 if last in variable.name else value)
  return model


def _normalised(images, variant):
  if variant == "keras":
    bgr = images[..., ::-1] * 255.0
    return bgr - tf.constant([103.939, 116.779, 123.68])
  mean, std = tf.constant([0.485, 0.456, 0.406]), [0.229, 0.224, 0.225]
  return (images - mean) / tf.constant(std)


def _conv(x, name, filters, kernel, stride, variant):
  x = layers.ZeroPadding2D(kernel // 2)(x)
  return layers.Conv2D(
    filters, kernel, stride, use_bias=variant == "keras", name=name
  )(x)


def _norm(x, name, variant):
  return layers.BatchNormalization(epsilon=EPSILON[variant], name=name)(x)


def _block(x, name, filters, stride, bottleneck, variant):
  """A residual block; its projection is made third, as Keras orders layers."""
  if bottleneck:
    kernels, widths = (1, 3, 1), (filters, filters, 4 * filters)
  else:
    kernels, widths = (3, 3), (filters, filters)
  strided = 1 if bottleneck and variant == "torch" else 0
  y = x
  for place, (kernel, width) in enumerate(zip(kernels, widths)):
    own = stride if place == strided else 1
    y = _conv(y, f"{name}_{place + 1}_conv", width, kernel, own, variant)
    y = _norm(y, f"{name}_{place + 1}_bn", variant)
    if place < len(kernels) - 1:
      y = layers.ReLU()(y)
  if stride > 1 or x.shape[-1] != widths[-1]:
    x = _conv(x, f"{name}_0_conv", widths[-1], 1, stride, variant)
    x = _norm(x, f"{name}_0_bn", variant)
  return layers.ReLU()(layers.Add()([x, y]))


def _drawn(rng, variable):
  shape = tuple(variable.shape)
  if "variance" in variable.name or "gamma" in variable.name:
    return rng.uniform(0.5, 1.5, shape)
  deviation = (2 / np.prod(shape[:-1])) ** 0.5 if len(shape) > 1 else 0.1
  return rng.normal(0, deviation, shape)


def torch_arrays(model, prefix=""):
  """Returns a model's weights by torchvision's names, as PyTorch has them."""
  arrays = {}
  for layer in model.layers:
    for variable in layer.variables:
      kind = variable.name.split("/")[-1].split(":")[0]
      value = variable.numpy()
      if value.ndim == 4:
        value = value.transpose(3, 2, 0, 1)
      elif value.ndim == 2:
        value = value.T
      name = f"{_torch_name(layer.name)}.{TORCH_LAYERS.get(kind, kind)}"
      arrays[prefix + name] = np.ascontiguousarray(value)
    if layer.name.endswith("_bn"):
      counter = f"{prefix}{_torch_name(layer.name)}.num_batches_tracked"
      arrays[counter] = np.array(7, np.int64)
  return arrays


def _torch_name(name):
  if name == "predictions":
    return "fc"
  if name.startswith("conv1_"):
    return name.removeprefix("conv1_") + "1"
  group, block, number, kind = name.split("_")
  place = f"layer{int(group[4:]) - 1}.{int(block[5:]) - 1}"
  if number == "0":
    return f"{place}.downsample.{'01'[kind == 'bn']}"
  return f"{place}.{kind}{number}"


def write_torch(path, model, prefix="", **others):
  """Writes a model as .safetensors, and `others` as they are."""
  save_file({**torch_arrays(model, prefix), **others}, str(path))
  return str(path)


def write_simclr(path, encoder, projection, logits):
  """Writes our layers as a checkpoint of SimCLR's; returns its prefix.

  Args:
    path: of the prefix.
    encoder: of basic blocks, with the small stem.
    projection: `heads.ProjectionHead`.
    logits: a dense layer.
  """
  node = tf.train.Checkpoint

  def chain(found):
    return [
      node(**{name: getattr(layer, name)})
      for layer in found
      for name in ("conv2d", "bn")
      if hasattr(layer, name)
    ]

  groups = [
    node(
      layers=[
        node(
          conv2d_bn_layers=chain(block.residual),
          shortcut_layers=chain(block.shortcut),
        )
        for block in encoder.layers
        if block.name.startswith(f"block_group{group}_")
      ]
    )
    for group in range(1, 5)
  ]
  stem = chain(encoder.get_layer(f"initial_{name}") for name in ("conv", "bn"))
  model = node(
    resnet_model=node(
      initial_conv_relu_max_pool={"0": stem[0], "2": stem[1]},
      block_groups=groups,
    ),
    _projection_head=node(
      linear_layers=[
        node(dense=dense, bn_relu=node(bn=bn))
        for dense, bn in zip(projection.dense, projection.bn)
      ]
    ),
    supervised_head=node(linear_layer=node(dense=logits)),
  )
  step = tf.Variable(12, dtype=tf.int64)
  return node(model=model, global_step=step).write(str(path))
