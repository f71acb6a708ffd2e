"""Neighbours by cosine of features h: retrieval of a bag, and k-NN."""

from __future__ import annotations

import numpy as np

from tf_micle.health import spread

# Neighbours: few, as held-out images are few; a choice that was not tuned.
K = 20


def retrieval(
  h: np.ndarray, bags: np.ndarray, patients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """How well an image finds the other images of its bag.

  All other images are ranked by cosine; a patient's images of other bags are
  left out. Where cosines are equal, those of the bag stand last: what is the
  same for all images finds nothing.

  Args:
    h: floats (n, f).
    bags: (n,), the bag of each image.
    patients: (n,), the patient of each image.

  Returns:
    Average precision and recall@1, float64 (b,) each: the means of each bag of
    two images or more; b may be 0.
  """
  similar = _cosines(h)
  names = np.unique(bags)
  found = []
  for bag in names:
    own = np.flatnonzero(bags == bag)
    if len(own) > 1:
      found.append(
        np.mean([_query(i, own, similar, bags, patients) for i in own], axis=0)
      )
  precisions, firsts = np.reshape(found, (-1, 2)).T
  return precisions, firsts


def _query(image, own, similar, bags, patients):
  """(average precision, recall@1) of one image among all others."""
  others = (patients != patients[image]) | (bags == bags[image])
  others[image] = False
  relevant = np.isin(np.flatnonzero(others), own)
  order = np.lexsort((relevant, -similar[image, others]))
  hits = np.flatnonzero(relevant[order])  # Places, from 0, of the bag's images.
  return np.mean(np.arange(1, len(hits) + 1) / (hits + 1)), hits[0] == 0


def knn_probabilities(
  h: np.ndarray, labels: np.ndarray, patients: np.ndarray, num_classes: int
) -> np.ndarray:
  """The share of each class among the K nearest images of other patients.

  Args:
    h: floats (n, f).
    labels: int (n,), -1 unknown, or floats (n, num_classes), 1 and 0; all else
      is unknown, and no neighbour.
    patients: (n,).
    num_classes: classes, or findings.

  Returns:
    float64 (n, num_classes); 0 where there is no neighbour.
  """
  similar = _cosines(h)
  similar[patients[:, None] == patients] = -np.inf
  if labels.ndim == 1:
    of_class = labels[:, None] == np.arange(num_classes)
    return _shares(similar, of_class, labels >= 0)
  columns = [
    _shares(similar, column[:, None] == 1, (column == 0) | (column == 1))
    for column in labels.T
  ]
  return np.concatenate(columns, axis=1)


def by_patient(chances, labels, patients):
  """The chance of what is true, mean over each patient's known labels.

  Args:
    chances: floats (n, classes), of `knn_probabilities`.
    labels: as there.
    patients: as there.

  Returns:
    float64 (p,), of the patients with a known label.
  """
  if labels.ndim == 1:
    known = labels[:, None] >= 0
    true = chances[np.arange(len(labels)), labels][:, None]
  else:
    known = (labels == 0) | (labels == 1)
    true = np.where(labels == 1, chances, 1 - chances)
  image, column = np.nonzero(known)
  _, number = np.unique(patients[image], return_inverse=True)
  return np.bincount(number, true[image, column]) / np.bincount(number)


def _shares(similar, positive, known):
  """Means of bool (n, c) `positive` over the K most similar known rows."""
  allowed = np.where(known, similar, -np.inf)
  nearest = np.argsort(-allowed, axis=1, kind="stable")[:, :K]  # (n, K)
  counts = np.isfinite(np.take_along_axis(allowed, nearest, axis=1))
  votes = (positive[nearest] & counts[:, :, None]).sum(axis=1)
  return votes / np.maximum(counts.sum(axis=1), 1)[:, None]


def _cosines(h):
  """(n, f) -> (n, n), rounded so that equal images are equal."""
  h = spread.unit(h)
  return np.round(h @ h.T, 12)
