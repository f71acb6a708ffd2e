"""Weights of google-research/simclr `tf2/`: its checkpoints and SavedModels.

Both hold the same objects, so one reader walks either. What the objects of its
`tf2/resnet.py` and `tf2/model.py` are called is what the names here say.
"""

from __future__ import annotations

import functools

from tf_micle.encoder.published.weights import (
  ENCODER,
  HEAD,
  PROJECTION_HEAD,
  PublishedWeights,
  Tensor,
  network_flags,
)

# In basic blocks and in bottlenecks.
_RESIDUAL = ("conv2d_bn_layers", "conv_relu_dropblock_layers")
_SHORTCUT = ("shortcut_layers", "projection_layers")
_STEP = "global_step/.ATTRIBUTES/VARIABLE_VALUE"
# What training keeps beside the network.
_OWN = ("global_step", "save_counter", "optimizer/", "_CHECKPOINTABLE")
_SLOT = ".OPTIMIZER_SLOT"


def is_simclr(root):
  """Whether a checkpoint's graph is that of SimCLR's model.

  Args:
    root: `object_graph.Node`, or None.
  """
  return root is not None and root.child("model", "resnet_model") is not None


def read(reader, root, *, path, files, form):
  """Returns the `weights.PublishedWeights` of SimCLR's model.

  Args:
    reader: of `tf.train.load_checkpoint`.
    root: of the checkpoint's graph, an `object_graph.Node`.
    path: as it was given.
    files: of the checkpoint.
    form: 'checkpoint' or 'SavedModel'.
  """
  keys = dict(_keys(root.child("model")))
  shapes = reader.get_variable_to_shape_map()
  tensors = {
    name: Tensor(tuple(shapes[key]), functools.partial(reader.get_tensor, key))
    for name, key in keys.items()
  }
  taken = set(keys.values())
  return PublishedWeights(
    format=f"SimCLR {form}",
    path=path,
    files=files,
    tensors=tensors,
    flags=network_flags({name: t.shape for name, t in tensors.items()}),
    step=int(reader.get_tensor(_STEP)) if _STEP in shapes else None,
    left=tuple(
      key
      for key in sorted(shapes)
      if key not in taken and not key.startswith(_OWN) and _SLOT not in key
    ),
  )


def _keys(model):
  """Yields the name of each variable, as ours is called, and its key."""
  network = model.child("resnet_model")
  stem = network.child("initial_conv_relu_max_pool").items()
  convs = sum(node.child("conv2d") is not None for node in stem)
  names = [f"stem_{{}}{number}" for number in range(1, convs)]
  yield from _chain(stem, [*names, "initial_{}"], ENCODER)
  for group, node in enumerate(network.child("block_groups").items(), 1):
    for index, block in enumerate(node.child("layers").items()):
      place = f"{ENCODER}/block_group{group}_{index}"
      yield from _chain(_either(block, _SHORTCUT), ["shortcut_{}"], place)
      numbered = [f"{{}}{number}" for number in (1, 2, 3)]
      yield from _chain(_either(block, _RESIDUAL), numbered, place)
  projection = model.child("_projection_head", "linear_layers")
  for index, layer in enumerate(projection.items() if projection else []):
    place = f"{PROJECTION_HEAD}/{{}}{index}"
    yield from _variables(layer.child("dense"), place.format("dense"))
    yield from _variables(layer.child("bn_relu", "bn"), place.format("bn"))
  logits = model.child("supervised_head", "linear_layer", "dense")
  yield from _variables(logits, HEAD)


def _either(block, names):
  """Returns the layers of a list that has one of these names."""
  found = [block.child(name) for name in names]
  return next((node.items() for node in found if node), [])


def _chain(layers, names, place):
  """Yields the variables of convolutions, each with a BatchNorm after it.

  Args:
    layers: nodes, also of what has no variables.
    names: of the pairs, with {} for 'conv' and 'bn'.
    place: what comes before them.
  """
  pair = -1
  for layer in layers:
    if layer.child("conv2d"):
      pair += 1
      name = f"{place}/{names[pair].format('conv')}/conv2d"
      yield from _variables(layer.child("conv2d"), name)
    elif layer.child("bn"):
      name = f"{place}/{names[pair].format('bn')}/bn"
      yield from _variables(layer.child("bn"), name)
    elif layer.child("conv2d_fixed_padding"):
      pair += 1
      name = f"{place}/sk_{names[pair].format('conv')}"
      yield from _selective_kernels(layer, name)


def _selective_kernels(layer, place):
  for own, theirs in (
    ("conv/conv2d", ("conv2d_fixed_padding", "conv2d")),
    ("bn/bn", ("batch_norm_relu", "bn")),
    ("mix_conv1/conv2d", ("conv2d_0",)),
    ("mix_bn1/bn", ("batch_norm_relu_1", "bn")),
    ("mix_conv2/conv2d", ("conv2d_1",)),
  ):
    yield from _variables(layer.child(*theirs), f"{place}/{own}")


def _variables(node, place):
  for name, key in (node.variables() if node else {}).items():
    yield f"{place}/{name}", key
