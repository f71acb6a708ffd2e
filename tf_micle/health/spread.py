"""Spread and rank of projections z: alignment, uniformity, RankMe, LiDAR."""

from __future__ import annotations

import numpy as np
from scipy.spatial import distance

# As in RankMe's section 3, for float32.
_EPSILON = 1e-7
# Of LiDAR's section 4: keeps the covariance within classes invertible.
_DELTA = 1e-4


def alignment(z: np.ndarray, pairs: np.ndarray) -> float:
  """Mean squared distance of positive pairs on the unit sphere, 0 to 4.

  Wang and Isola 2020 (arXiv 2005.10242), section 4.1, alpha = 2.

  Args:
    z: floats (n, d), projections.
    pairs: int (p, 2), p >= 1, places of each pair in z.
  """
  z = unit(z)
  return float(np.mean(np.sum((z[pairs[:, 0]] - z[pairs[:, 1]]) ** 2, axis=1)))


def uniformity(z: np.ndarray) -> float:
  """Log of the mean Gaussian potential of all pairs on the unit sphere.

  Wang and Isola 2020, section 4.1, t = 2: -4 is nearly uniform, 0 is a point.

  Args:
    z: floats (n, d), n >= 2.
  """
  squared = distance.pdist(unit(z), "sqeuclidean")
  return float(np.log(np.mean(np.exp(-2 * squared))))


def rankme(z: np.ndarray) -> float:
  """Effective rank of projections, 1 to min(n, d).

  Garrido et al. 2023 (arXiv 2210.02885), equation 1: exp of the entropy of the
  singular values, which are not centred.

  Args:
    z: floats (n, d).
  """
  return _effective_rank(np.linalg.svd(_double(z), compute_uv=False))


def lidar(z: np.ndarray, classes: np.ndarray) -> float:
  """Effective rank of what tells surrogate classes apart, from 1 on.

  Thilak et al. 2024 (arXiv 2312.04000), section 4: exp of the entropy of the
  eigenvalues of Sw^-1/2 Sb Sw^-1/2, with Sb the covariance of the classes'
  means and Sw that within classes, plus delta on its diagonal. The paper's
  classes are images, each by its augmentations; ours are bags.

  Args:
    z: floats (n, d).
    classes: int (n,); each of at least two classes has two rows or more.
  """
  z = _double(z)
  _, number, counts = np.unique(
    classes, return_inverse=True, return_counts=True
  )
  means = np.zeros((len(counts), z.shape[1]))
  np.add.at(means, number, z)
  means /= counts[:, None]
  within = z - means[number]
  # Each class counts alike, whatever its size.
  within /= np.sqrt(counts[number] - 1)[:, None]
  s_within = within.T @ within / len(counts) + _DELTA * np.eye(z.shape[1])
  between = means - means.mean(axis=0)
  s_between = between.T @ between / (len(counts) - 1)
  values, vectors = np.linalg.eigh(s_within)
  root = vectors / np.sqrt(values) @ vectors.T
  found = np.linalg.eigvalsh(root @ s_between @ root)
  return _effective_rank(np.maximum(found, 0))


def unit(x: np.ndarray) -> np.ndarray:
  """Rows of floats (n, d) at unit length, float64; a row of zeros stays."""
  x = _double(x)
  return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _effective_rank(values):
  """The exponential of the entropy of values >= 0; 1 where all are 0."""
  p = values / max(values.sum(), np.finfo(float).tiny) + _EPSILON
  return float(np.exp(-np.sum(p * np.log(p)))) if values.any() else 1.0


def _double(x):
  return np.asarray(x, np.float64)
