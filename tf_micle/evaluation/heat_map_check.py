"""Randomisation test of heat maps: whether they depend on what was learnt.

Adebayo et al. 2018, "Sanity checks for saliency maps" (arXiv 1810.03292),
section 3.1: a map that stays when all weights become random says nothing about
the model. One that changes need not be right: those of two networks that have
learnt nothing differ as well.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from tf_micle.classifier.grad_cam import grad_cam, random_weights

# Maps of a higher correlation are called too alike.
_HIGH = 0.5
_NETWORKS, _BATCH = 5, 8


def similarity(model, images, classes, maps, *, seed):
  """Compares heat maps with those of networks that have learnt nothing.

  By Spearman's rank correlation over the places of a map. A map without
  differences has none, and is left out.

  Args:
    model: `model.Classifier`; it is as before afterwards.
    images: uint8 (n, h, w, 3).
    classes: ints (n,), of the maps.
    maps: float32 (n, h', w'), the model's.
    seed: of the networks.

  Returns:
    dict: "images", "networks"; "mean" over all pairs of maps, "highest" of the
    networks' means, None where no correlation is defined; "too_alike".
  """
  means, every = [], []
  for number in range(_NETWORKS):
    with random_weights(model, (seed, number)):
      others = np.concatenate(
        [
          grad_cam(model, images[k : k + _BATCH], classes[k : k + _BATCH])
          for k in range(0, len(images), _BATCH)
        ]
      )
    found = [
      stats.spearmanr(ours, other, axis=None).statistic
      for ours, other in zip(maps, others)
      if np.ptp(ours) and np.ptp(other)
    ]
    every += found
    means += [np.mean(found)] if found else []
  highest = float(np.max(means)) if means else None
  return {
    "images": len(images),
    "networks": _NETWORKS,
    "mean": float(np.mean(every)) if every else None,
    "highest": highest,
    "too_alike": bool(means) and highest > _HIGH,
  }
