"""Pieces of a batch: so few images that a signal to stop is soon heeded."""

from __future__ import annotations

import sys

# Multiply-adds of one or two seconds of a processor core.
_WORK = 40e9
# A ResNet uses a weight 154 times (18 layers) to 193 times (152) at 224 pixels.
_PIXELS_A_USE = 300


def size(model, strategy, image_size):
  """Returns how many images to compute at once.

  A processor is no faster with large batches where the network is large.
  Anywhere else, a piece is the batch.

  Args:
    model: `model.Classifier`.
    strategy: `tf.distribute.Strategy`.
    image_size: pixels a side.
  """
  if not all("CPU:" in name for name in strategy.extended.worker_devices):
    return sys.maxsize
  uses = image_size**2 / _PIXELS_A_USE
  return max(int(_WORK / (model.encoder.count_params() * uses)), 1)


def split(batches, size):
  """Yields batches of (positions, views) in pieces of at most `size`."""
  for positions, views in batches:
    for first in range(0, len(positions), size):
      yield positions[first : first + size], views[first : first + size]
