"""Freezing of layers in fine-tuning."""

from __future__ import annotations

LAST_GROUP = 4


def freeze(encoder, projection_head, *, after_block, layer):
  """Freezes what is not to be fine-tuned, BatchNorm's moving statistics too.

  A frozen BatchNorm normalises by its moving statistics also in training.

  Args:
    encoder: of `resnet.resnet`.
    projection_head: `heads.ProjectionHead`, or None.
    after_block: SimCLR's fine_tune_after_block. -1 freezes nothing, 0 the stem,
      1 to 4 the stem and the groups of blocks up to that one. With 4 the
      projection head is frozen, too: only what stands on it learns.
    layer: SimCLR's ft_proj_selector, the projection head's last layer that is
      used. Those above it have no gradient, and are frozen.

  Raises:
    ValueError: if `after_block` is not in [-1, 4].
  """
  if not -1 <= after_block <= LAST_GROUP:
    raise ValueError(
      f"Expected fine_tune_after_block from -1 to {LAST_GROUP}. "
      f"Received: fine_tune_after_block={after_block}"
    )
  for frozen in _below_group(encoder, after_block + 1):
    frozen.trainable = False
  if projection_head is not None:
    first = 0 if after_block == LAST_GROUP else layer
    for frozen in projection_head.dense[first:] + projection_head.bn[first:]:
      frozen.trainable = False


def _below_group(encoder, group):
  """The encoder's layers before a group of blocks; group 0 is the stem."""
  if group == 0:
    return []
  if group > LAST_GROUP:
    return encoder.layers
  names = [layer.name for layer in encoder.layers]
  return encoder.layers[: names.index(f"block_group{group}_0")]
