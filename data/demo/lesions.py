"""The demo's conditions: families of outlines and textures.

A lesion is one member of its condition's family. Outline and texture are
functions of the lesion's own coordinates, so that any pose can be painted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

Range = tuple[float, float]
# A field maps lesion (or image) coordinates x, y (h, w) to values (h, w).
Field = Callable[[np.ndarray, np.ndarray], np.ndarray]


def waves(rng, count: int, frequency: Range) -> Field:
  """A rough field: plane waves of any direction; mean 0, variance 1."""
  angle, phase = rng.uniform(0, 2 * np.pi, (2, count, 1, 1))
  k = 2 * np.pi * rng.uniform(*frequency, (count, 1, 1))  # Cycles a unit.
  kx, ky = k * np.cos(angle), k * np.sin(angle)
  scale = np.sqrt(2 / count)
  return lambda x, y: scale * np.cos(kx * x + ky * y + phase).sum(0)


def _polar(rng, radius: Callable, wobble: float) -> Field:
  """The outline r < radius(angle), wobbled, as no outline is perfect."""
  a, phase = rng.normal(0, wobble, (3, 1, 1)), rng.uniform(0, 7, (3, 1, 1))
  n = np.arange(2, 5)[:, None, None]

  def outline(x, y):
    t = np.arctan2(y, x)
    wobbled = radius(t) + (a * np.cos(n * t + phase) / (n - 1)).sum(0)
    return wobbled - np.hypot(x, y)

  return outline


def _discoid(rng) -> Field:
  return _polar(rng, lambda t: 0.85, wobble=0.05)


def _lobed(rng) -> Field:
  lobes, depth = rng.integers(3, 5), rng.uniform(0.2, 0.3)
  return _polar(rng, lambda t: 0.75 + depth * np.cos(lobes * t), wobble=0.07)


def _stellate(rng) -> Field:
  points, reach = rng.integers(5, 8), rng.uniform(0.55, 0.7)
  return _polar(
    rng,
    lambda t: 0.4 + reach * np.abs(np.cos(points * t / 2)) ** 3,
    wobble=0.06,
  )


def _linear(rng) -> Field:
  width, bend = rng.uniform(0.24, 0.38), rng.uniform(-0.35, 0.35)
  disc = _polar(rng, lambda t: 1.0, wobble=0.03)
  return lambda x, y: (
    width * disc(x / 1.15, (y - bend * (x**2 - 0.4)) / width)
  )


def _annular(rng) -> Field:
  band = rng.uniform(0.17, 0.25)
  disc = _polar(rng, lambda t: 0.72, wobble=0.06)
  return lambda x, y: band - np.abs(disc(x, y))


def _clustered(rng) -> Field:
  count = rng.integers(5, 8)
  t = np.arange(count) * 2 * np.pi / count + rng.normal(0, 0.2, count)
  r = rng.uniform(0.55, 0.8, count)
  r[0] = rng.uniform(0, 0.15)
  size = rng.uniform(0.19, 0.3, (count, 1, 1))
  cx, cy = ((r * f(t))[:, None, None] for f in (np.cos, np.sin))
  return lambda x, y: np.max(size - np.hypot(x - cx, y - cy), axis=0)


def _smooth(rng) -> Field:
  level = rng.uniform(0.5, 0.8)
  return lambda x, y: np.full_like(x, level)


def _dots(rng) -> Field:
  k = 2 * np.pi / rng.uniform(0.4, 0.5)
  px, py = rng.uniform(0, 2 * np.pi, 2)
  return lambda x, y: np.exp(np.cos(k * x + px) + np.cos(k * y + py) - 1.4)


def _network(rng) -> Field:
  k = np.pi / rng.uniform(0.42, 0.55, 2)
  px, py = rng.uniform(0, np.pi, 2)
  return lambda x, y: (
    np.maximum(np.abs(np.cos(k[0] * x + px)), np.abs(np.cos(k[1] * y + py)))
    ** 4
  )


def _streaks(rng) -> Field:
  k, phase = 2 * np.pi / rng.uniform(0.36, 0.5), rng.uniform(0, 2 * np.pi)
  bend = rng.uniform(-0.3, 0.3)
  return lambda x, y: 0.5 + 0.5 * np.sin(k * (x + bend * y**2) + phase)


def _speckle(rng) -> Field:
  field = waves(rng, 16, (1.0, 2.4))
  return lambda x, y: 1 / (1 + np.exp(-3 * field(x, y)))


# Each texture belongs to two conditions: it helps, but does not decide.
CONDITIONS = {
  "discoid": (_discoid, (_smooth, _dots)),
  "lobed": (_lobed, (_network, _speckle)),
  "linear": (_linear, (_streaks, _smooth)),
  "annular": (_annular, (_dots, _speckle)),
  "clustered": (_clustered, (_smooth, _network)),
  "stellate": (_stellate, (_streaks, _network)),
}


@dataclasses.dataclass(frozen=True)
class Lesion:
  """What a photograph of it shows, whatever the pose and the light."""

  outline: Field  # Depth below the outline: positive inside; radius about 1.
  texture: Field  # Strength of the pigment in [0, 1].


def draw_lesion(condition: str, rng: np.random.Generator) -> Lesion:
  """Draws one member of a condition's family."""
  outline, textures = CONDITIONS[condition]
  texture = textures[rng.integers(len(textures))]
  return Lesion(outline(rng), texture(rng))
