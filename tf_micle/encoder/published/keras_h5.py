"""Weights of `tf.keras.applications`' ResNet50, 101 and 152, in HDF5.

Two forms: layers by their own names (the released `...tf_kernels.h5`, what
`save_weights` and `save` write to `.h5`), and layers by their class and number
(`.weights.h5`). Of a larger model the ResNet in it is taken.
"""

from __future__ import annotations

import io
import re

import h5py

from tf_micle.encoder import resnet
from tf_micle.encoder.published import files
from tf_micle.encoder.published.files import WeightsError
from tf_micle.encoder.published.weights import (
  ENCODER,
  HEAD,
  PublishedWeights,
  Tensor,
  network_flags,
)

_BLOCK_LAYER = re.compile(r"conv(\d)_block(\d+)_(\d)_(conv|bn)")
_OF_OTHERS = {
  "preact": "ResNet50V2's (activation before convolution)",
  "depthwise": "ResNeXt's (grouped convolutions)",
  "branch": "those of Keras before 2.2.5, with another epsilon",
}
_BN = ("gamma", "beta", "moving_mean", "moving_variance")
# The order of a model's layers: a block with a projection has it third.
_WITH_PROJECTION, _WITHOUT = "1203", "123"


def read(path):
  """Returns the `weights.PublishedWeights` of an HDF5 file.

  Raises:
    WeightsError: if it is of another network.
  """
  try:
    file = h5py.File(_readable(path), "r")
  except OSError as error:
    raise WeightsError(f"Received: a file that is damaged ({error})") from error
  by_layer = _by_class(file) or _by_name(file)
  tensors, left = {}, []
  for layer, attribute, dataset in by_layer:
    name = _name(layer, attribute, dataset)
    if name:
      tensors[name] = Tensor(dataset.shape, lambda dataset=dataset: dataset[()])
    else:
      left.append(f"{layer}/{attribute}")
  shapes = {name: tensor.shape for name, tensor in tensors.items()}
  return PublishedWeights(
    format="Keras ResNet, HDF5",
    path=path,
    files=(path,),
    tensors=tensors,
    flags=network_flags(shapes, "keras"),
    left=tuple(left),
  )


def _readable(path):
  """Returns what h5py opens: a path, or the content of a remote file."""
  if not files.is_remote(path):
    return path
  with files.opened(path) as file:
    return io.BytesIO(file.read())


def _name(layer, attribute, dataset):
  """Returns what our variable is called, or None for what is not the ResNet's.

  Raises:
    WeightsError: for a layer of another ResNet.
  """
  for part, whose in _OF_OTHERS.items():
    if part in f"{layer}/{attribute}":
      raise WeightsError(f"Received: {layer}/{attribute}: layers of {whose}")
  if layer in ("conv1_conv", "conv1_bn"):
    kind = layer.removeprefix("conv1_")
    return f"{ENCODER}/initial_{kind}/{_inner(kind)}/{attribute}"
  found = _BLOCK_LAYER.fullmatch(layer)
  if found:
    group, block, number, kind = found.groups()
    place = f"{ENCODER}/block_group{int(group) - 1}_{int(block) - 1}"
    own = f"{kind}{number}" if number != "0" else f"shortcut_{kind}"
    return f"{place}/{own}/{_inner(kind)}/{attribute}"
  if layer in ("predictions", "probs", "fc1000"):
    return f"{HEAD}/{attribute}"
  return None


def _inner(kind):
  return {"conv": "conv2d", "bn": "bn"}[kind]


def _by_name(file):
  """Returns (layer, attribute, dataset) of a file of layers' own names."""
  root = file.get("model_weights", file)
  found = []
  for group in root.values():
    for weight in group.attrs.get("weight_names", ()):
      weight = weight.decode() if isinstance(weight, bytes) else weight
      # In a model in a model, the outer one's name is the group's.
      layer, attribute = weight.split(":")[0].split("/")[-2:]
      found.append((layer, attribute, group[weight]))
  return found


def _by_class(file):
  """Returns as `_by_name`, of a file of classes and numbers; [] of others."""
  places = []

  def visit(place, item):
    is_first = place.split("/")[-1] == "conv2d" and "vars/0" in item
    if is_first and item["vars/0"].shape[:2] == (7, 7):
      places.append(item.parent)

  file.visititems(visit)
  if not places:
    return []
  layers = places[0]
  convs, norms = (
    _numbered(layers, name) for name in ("conv2d", "batch_normalization")
  )
  names = _layer_names(len(convs))
  found = []
  for group, name in zip(convs, names):
    found += _variables(group, f"{name}_conv", ("kernel", "bias"))
  for group, name in zip(norms, names):
    found += _variables(group, f"{name}_bn", _BN)
  heads = _numbered(layers, "dense")
  if len(heads) == 1:
    found += _variables(heads[0], "predictions", ("kernel", "bias"))
  return found


def _numbered(layers, name):
  """Returns the groups name, name_1, name_2, ..."""
  found = [layers[name]] if name in layers else []
  while f"{name}_{len(found)}" in layers:
    found.append(layers[f"{name}_{len(found)}"])
  return found


def _variables(group, layer, names):
  variables = group["vars"]
  return [
    (layer, name, variables[str(place)])
    for place, name in enumerate(names)
    if str(place) in variables
  ]


def _layer_names(convolutions):
  """Returns what the layers of so many convolutions are called, in order."""
  for depth in resnet.DEPTHS:
    sizes, bottlenecks = resnet.group_sizes(depth)
    names = ["conv1"] + [
      f"conv{group}_block{block}_{number}"
      for group, size in enumerate(sizes, start=2)
      for block in range(1, size + 1)
      for number in (_WITH_PROJECTION if block == 1 else _WITHOUT)
    ]
    if bottlenecks and len(names) == convolutions:
      return names
  raise WeightsError(
    f"Received: {convolutions} convolutions, which ResNet50, 101 and 152 do "
    "not have"
  )
