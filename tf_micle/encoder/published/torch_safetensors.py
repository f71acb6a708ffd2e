"""Weights of PyTorch's ResNets with torchvision's names, in `.safetensors`.

torchvision's, timm's, and those of MoCo, SwAV, DINO, VICReg and lightly, which
put a prefix before the same names (`module.encoder_q.`).
"""

from __future__ import annotations

import re

import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy

from tf_micle.encoder.published import files
from tf_micle.encoder.published.files import WeightsError
from tf_micle.encoder.published.weights import (
  ENCODER,
  HEAD,
  PublishedWeights,
  Tensor,
  network_flags,
)

_FIRST_OF_BLOCKS = "layer1.0.conv1.weight"
# A ResNet without its classifier as a list of its children, as lightly has it.
_CHILDREN = {
  **{"0": "conv1", "1": "bn1"},
  **{str(number + 3): f"layer{number}" for number in range(1, 5)},
}
# Of two networks in one file, that which is not the one to use.
_COPIES = re.compile(r"encoder_k|momentum|target|student")
_LAYER = re.compile(r"(?:layer(\d)\.(\d+)\.)?(conv|bn|downsample\.)(\d)\.(\w+)")
_INSIDE = re.compile(r"(conv1|bn1|layer\d)\.")
_OF_CONV = {"weight": "kernel", "bias": "bias"}
_OF_BN = {
  "weight": "gamma",
  "bias": "beta",
  "running_mean": "moving_mean",
  "running_var": "moving_variance",
}
_IGNORED = "num_batches_tracked"


def read(path):
  """Returns the `weights.PublishedWeights` of a safetensors file.

  Raises:
    WeightsError: if it is of another network, or damaged.
  """
  try:
    raw = _remote(path) if files.is_remote(path) else _local(path)
  except safetensors.SafetensorError as error:
    raise WeightsError(f"Received: a file that is damaged ({error})") from error
  raw = _with_names(raw)
  prefix = _prefix(raw)
  tensors, left = {}, []
  for key, tensor in raw.items():
    name = None
    if key.startswith(prefix) and not key.endswith(_IGNORED):
      name = _name(key.removeprefix(prefix))
    if name:
      tensors[name] = _turned(tensor)
    elif not key.endswith(_IGNORED):
      left.append(key)
  shapes = {name: tensor.shape for name, tensor in tensors.items()}
  return PublishedWeights(
    format="PyTorch ResNet, safetensors",
    path=path,
    files=(path,),
    tensors=tensors,
    flags=network_flags(shapes, "torch"),
    left=tuple(left),
  )


def _local(path):
  """Returns the file's tensors by name, none of them read."""
  file = safetensors.safe_open(path, framework="np")
  return {
    key: Tensor(
      tuple(file.get_slice(key).get_shape()),
      lambda key=key: _floats(key, lambda: file.get_tensor(key)),
    )
    for key in file.keys()  # noqa: SIM118 (it is no dict)
  }


def _remote(path):
  """Returns as `_local`, all of them read."""
  with files.opened(path) as file:
    arrays = safetensors_numpy.load(file.read())
  return {
    key: Tensor(array.shape, lambda array=array: np.asarray(array, np.float32))
    for key, array in arrays.items()
  }


def _floats(key, get):
  try:
    return np.asarray(get(), np.float32)
  except TypeError as error:  # NumPy has no bfloat16.
    raise WeightsError(
      f"Expected floats that NumPy knows. Received: {key} ({error}). Save the "
      "file in float32"
    ) from error


def _with_names(tensors):
  """Returns tensors by torchvision's names, where they had children's numbers.

  `nn.Sequential(*list(resnet.children())[:-1])`, a usual way to take the
  classifier off, leaves `4.0.conv1.weight` of `layer1.0.conv1.weight`.
  """
  first = _FIRST_OF_BLOCKS.replace("layer1", "4")
  prefixes = [key.removesuffix(first) for key in tensors if key.endswith(first)]
  prefixes = [p for p in prefixes if not p or p.endswith(".")]  # Not layer4.
  renamed = {}
  for key, tensor in tensors.items():
    for prefix in prefixes:
      number, _, rest = key.removeprefix(prefix).partition(".")
      if key.startswith(prefix) and number in _CHILDREN:
        key = f"{prefix}{_CHILDREN[number]}.{rest}"
        break
    renamed[key] = tensor
  return renamed


def _prefix(keys):
  """Returns what is before torchvision's names."""
  found = [
    key.removesuffix(_FIRST_OF_BLOCKS)
    for key in keys
    if key.endswith(_FIRST_OF_BLOCKS)
  ]
  if len(found) > 1:
    found = [prefix for prefix in found if not _COPIES.search(prefix)] or found
  if len(found) > 1:
    raise WeightsError(
      "Expected one ResNet in the file. Received: "
      f"{', '.join(map(repr, sorted(found)))}. Save the tensors of one of them"
    )
  if not found:
    raise WeightsError(
      f"Expected torchvision's names, such as {_FIRST_OF_BLOCKS}. Received: "
      f"{', '.join(sorted(keys)[:3])}, ..."
    )
  return found[0]


def _name(key):
  """Returns what our variable is called, or None for what is not the ResNet's.

  Raises:
    WeightsError: for a layer of another ResNet.
  """
  if key in ("fc.weight", "fc.bias"):
    return f"{HEAD}/{_OF_CONV[key.removeprefix('fc.')]}"
  found = _LAYER.fullmatch(key)
  own = found and _own_name(*found.groups())
  if not own and _INSIDE.match(key):
    raise WeightsError(
      f"Expected the layers of torchvision's ResNet. Received: {key}"
    )
  return own and f"{ENCODER}/{own}"


def _own_name(group, index, kind, number, variable):
  """Returns the name in our encoder, or None."""
  if kind == "downsample.":
    kind = {"0": "conv", "1": "bn"}.get(number)
    layer = f"shortcut_{kind}"
  else:
    layer = f"{kind}{number}" if group else f"initial_{kind}"
  names = {"conv": _OF_CONV, "bn": _OF_BN}.get(kind, {})
  if variable not in names or not (group or number == "1"):
    return None
  place = f"block_group{group}_{index}/" if group else ""
  inner = {"conv": "conv2d", "bn": "bn"}[kind]
  return f"{place}{layer}/{inner}/{names[variable]}"


def _turned(tensor):
  """(out, in, h, w) -> (h, w, in, out), (out, in) -> (in, out), as it is."""
  order = {4: (2, 3, 1, 0), 2: (1, 0)}.get(len(tensor.shape))
  if order is None:
    return tensor
  shape = tuple(tensor.shape[axis] for axis in order)
  return Tensor(shape, lambda: tensor.read().transpose(order))
