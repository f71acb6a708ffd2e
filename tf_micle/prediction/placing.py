"""Places of features in the plane, and the nearest ones of other patients."""

from __future__ import annotations

import numpy as np
import threadpoolctl
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from tf_micle.system.input_error import InputError

_COMPONENTS, _PERPLEXITY = 50, 30
_ROWS = 500  # Rows of cosines in memory at once.


def check(features):
  """Raises an InputError where features (n, f) place nothing."""
  received = None
  if not np.isfinite(features).all():
    received = "NaN or infinite ones; the run has diverged"
  elif np.allclose(features, features[:1], rtol=1e-5, atol=1e-7):
    received = "the same for every image; the encoder has collapsed"
  if received:
    raise InputError(
      "Expected finite features that differ from image to image. Received: "
      f"{received}. Name an earlier --checkpoint."
    )


def plane(features, seed):
  """Returns places in the plane, float32 (n, 2) in [0, 1].

  They are by t-SNE (van der Maaten and Hinton, JMLR 2008) of the first
  principal components. One thread, so that sums are always in one order.

  Args:
    features: float32 (n, f), n >= 4, f >= 2, not all the same.
    seed: of scikit-learn's draws.
  """
  with threadpoolctl.threadpool_limits(1):
    few = min(_COMPONENTS, *features.shape)
    parts = PCA(few, random_state=seed).fit_transform(features)
    perplexity = min(_PERPLEXITY, (len(parts) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, random_state=seed)
    found = tsne.fit_transform(parts)
  found = found - found.min(axis=0)
  return found / found.max()


def nearest(features, patients, count):
  """Returns the images of other patients that are most like each image.

  Args:
    features: float32 (n, f).
    patients: (n,), the patient of each image.
    count: k < n, of images to return.

  Returns:
    Places int64 (n, k), the most similar first; and cosines float32 (n, k),
    -inf where other patients have no more images.
  """
  norms = np.linalg.norm(features, axis=1, keepdims=True)
  h = features / np.maximum(norms, 1e-12)
  patients = np.asarray(patients)
  places, cosines = [], []
  for start in range(0, len(h), _ROWS):
    rows = slice(start, start + _ROWS)
    similar = h[rows] @ h.T  # (rows, n)
    similar[patients[rows, None] == patients] = -np.inf
    places.append(np.argsort(-similar, axis=1, kind="stable")[:, :count])
    cosines.append(np.take_along_axis(similar, places[-1], axis=1))
  return np.concatenate(places), np.concatenate(cosines)
