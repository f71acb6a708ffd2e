"""Published weights in one form: arrays under the names of this ResNet."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np

from tf_micle.encoder import resnet, variants
from tf_micle.encoder.published.files import WeightsError

ENCODER, PROJECTION_HEAD, HEAD = "encoder", "projection_head", "head"
INITIAL_KERNEL = f"{ENCODER}/initial_conv/conv2d/kernel"

_STEM_FILTERS = 64
_SMALL_STEM_KERNEL = (3, 3, 3)  # Height, width and colours.
# SimCLR v2's; where a file does not tell, every ratio means the same network.
_SK_RATIO = 0.0625
_SK_HIDDEN = re.compile(rf"{ENCODER}/.*/sk_conv2/mix_conv1/conv2d/kernel")
_BLOCK = re.compile(rf"{ENCODER}/(block_group(\d)_\d+)/(\w+)/")


@dataclasses.dataclass(frozen=True)
class Tensor:
  """An array in a file: its shape, and a function that reads it."""

  shape: tuple[int, ...]
  read: Callable[[], np.ndarray]


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
  """Weights that somebody has published.

  Attributes:
    format: what the file is, for people.
    path: as it was given.
    files: what it consists of.
    tensors: by name, which is the part ('encoder', 'projection_head', 'head'),
      the layers' names and the variable's:
      'encoder/block_group1_0/conv1/conv2d/kernel'. Kernels are (h, w, in, out).
    flags: those of the network that the file tells.
    step: of the training, or None where the file does not say.
    left: names in the file of what is no part of such a network.
  """

  format: str
  path: str
  files: tuple[str, ...]
  tensors: Mapping[str, Tensor]
  flags: Mapping[str, object]
  step: int | None = None
  left: tuple[str, ...] = ()

  @property
  def shapes(self):
    """Shapes of the tensors by name."""
    return {name: tensor.shape for name, tensor in self.tensors.items()}

  @property
  def classes(self):
    """Outputs of the classifier in the file; 0 without one."""
    kernel = self.tensors.get(f"{HEAD}/kernel")
    return kernel.shape[-1] if kernel else 0


def has_small_stem(shapes):
  """Whether the stem is that of small images; see `resnet.resnet`.

  Args:
    shapes: dict of name to shape, as in `PublishedWeights`.
  """
  return tuple(shapes[INITIAL_KERNEL][:3]) == _SMALL_STEM_KERNEL


def network_flags(shapes, variant=variants.DEFAULT):
  """Returns the flags of the network that tensors belong to.

  Args:
    shapes: dict of name to shape, as in `PublishedWeights`.
    variant: one of `variants.VARIANTS`.

  Raises:
    WeightsError: if there is no such network.
  """
  if INITIAL_KERNEL not in shapes:
    raise WeightsError("Received: a file without the first convolution")
  blocks = collections.defaultdict(set)
  layers = set()
  for block, group, layer in _BLOCK.findall("\n".join(shapes)):
    blocks[int(group)].add(block)
    layers.add(layer)
  sizes = tuple(len(blocks[group]) for group in sorted(blocks))
  depth = resnet.depth_of(sizes, bottlenecks="conv3" in layers)
  if depth is None:
    raise WeightsError(
      f"Received: groups of {', '.join(map(str, sizes)) or 'no'} blocks, of no "
      f"depth in {resnet.DEPTHS}"
    )
  return {
    "resnet_depth": depth,
    "resnet_variant": variant,
    "width_multiplier": shapes[INITIAL_KERNEL][-1] / _STEM_FILTERS,
    "sk_ratio": _sk_ratio(shapes),
    **_head_flags(shapes),
  }


def _sk_ratio(shapes):
  """Returns the ratio of selective kernels, 0 without."""
  hidden = [shapes[name] for name in shapes if _SK_HIDDEN.fullmatch(name)]
  if hidden:
    # (1, 1, filters, hidden): in the widest the least hidden width tells least.
    widest = max(hidden, key=lambda shape: shape[2])
    return widest[3] / widest[2]
  return _SK_RATIO * any(name.startswith("encoder/stem_") for name in shapes)


def _head_flags(shapes):
  """Returns the flags of the projection head; {} without one."""
  layers = 0
  while f"{PROJECTION_HEAD}/dense{layers}/kernel" in shapes:
    layers += 1
  if not layers:
    return {}
  last = shapes[f"{PROJECTION_HEAD}/dense{layers - 1}/kernel"]
  flags = {"proj_head_mode": "linear", "proj_out_dim": last[-1]}
  if layers > 1:
    flags.update(proj_head_mode="nonlinear", num_proj_layers=layers)
  return flags
