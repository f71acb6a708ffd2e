"""The demo's photographs: a lesion in a pose, then nuisances, image to image.

Nothing here says anything about the condition.
"""

from __future__ import annotations

import dataclasses
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from data.demo.lesions import Lesion, Range, waves

IMAGE_SIDE = 64  # Pixels; photographs are square RGB JPEGs.


@dataclasses.dataclass(frozen=True)
class Clinic:
  """Strength of each nuisance: ranges are drawn from once a photograph.

  Lengths are in half image sides, colours and intensities in [0, 1].
  """

  name: str
  zoom: Range = (0.65, 0.95)  # Lesion radius.
  offset: float = 0.3  # Largest shift of the lesion, each axis.
  tilt: Range = (0.80, 1.0)  # Foreshortening of one axis, at any angle.
  perspective: float = 0.1  # Change of scale from the centre to a side.
  skin_tone: Range = (0.35, 1.0)  # 0 darkest, 1 lightest.
  contrast: Range = (0.60, 0.90)  # Lesion against skin.
  lighter_lesion: float = 0.0  # Share of lesions lighter than the skin.
  skin_relief: Range = (0.20, 0.40)  # Amplitude of the skin's own texture.
  hairs: tuple[int, int] = (0, 6)
  ruler: float = 0.3  # Share of photographs with a ruler at an edge.
  light_gradient: Range = (0.1, 0.5)  # Brightness from centre to a side.
  highlight: Range = (0.0, 0.5)  # Specular reflection.
  cast: tuple[float, float, float] = (1.0, 1.0, 1.0)  # The camera's RGB gain.
  white_balance: float = 0.15  # Spread of each channel's gain.
  blur: Range = (0.3, 0.8)  # Standard deviation, pixels.
  noise: Range = (0.01, 0.04)
  jpeg_quality: tuple[int, int] = (70, 95)


HOME = Clinic("home")
EXTERNAL = Clinic(
  "external",
  zoom=(0.85, 1.1),
  tilt=(0.70, 0.95),
  skin_tone=(0.0, 0.55),
  light_gradient=(0.3, 0.7),
  cast=(0.85, 0.97, 1.10),
  blur=(0.7, 1.2),
  noise=(0.03, 0.06),
  jpeg_quality=(45, 75),
)

# Image coordinates, (h, w) each: from -1 to 1, x to the right and y down.
_Y, _X = (np.mgrid[:IMAGE_SIDE, :IMAGE_SIDE] + 0.5) * 2 / IMAGE_SIDE - 1
_SKINS = ("dark", "medium", "light")
_DARK_SKIN, _LIGHT_SKIN = np.array([[0.26, 0.17, 0.13], [0.80, 0.66, 0.58]])


def _lesion_coordinates(clinic: Clinic, rng) -> tuple[np.ndarray, np.ndarray]:
  """Where each pixel falls in the lesion's own frame: a random pose."""

  def rotation():
    t = rng.uniform(0, 2 * np.pi)
    return np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])

  squeeze = np.diag([1.0, rng.uniform(*clinic.tilt)])
  pose = rng.uniform(*clinic.zoom) * rotation() @ squeeze @ rotation()
  dx, dy = rng.uniform(-clinic.offset, clinic.offset, 2)
  px, py = rng.uniform(-clinic.perspective, clinic.perspective, 2)
  x, y = np.einsum("ij,jhw->ihw", np.linalg.inv(pose), [_X - dx, _Y - dy])
  depth = 1 + px * _X + py * _Y
  return x / depth, y / depth


def paint(lesion: Lesion, tone: float, clinic: Clinic, rng) -> np.ndarray:
  """The lesion on skin in a random pose, (h, w, 3), in [0, 1]."""
  skin = _DARK_SKIN + tone * (_LIGHT_SKIN - _DARK_SKIN)
  skin = skin * rng.uniform(0.9, 1.1, 3)
  frequency = rng.uniform(1.2, 5.5) * np.array([0.95, 1.05])
  relief = rng.uniform(*clinic.skin_relief) * waves(rng, 3, frequency)(_X, _Y)
  x, y = _lesion_coordinates(clinic, rng)
  inside = 1 / (1 + np.exp(-np.clip(lesion.outline(x, y) * 25, -30, 30)))
  skin = skin * (1 + relief * (1 - inside))[..., None]
  texture = np.clip(lesion.texture(x, y), 0, 1)
  pigment = (inside * (0.4 + 0.6 * texture))[..., None]
  colour = rng.uniform(*clinic.contrast) * rng.uniform(0.6, 1.2, 3)
  if rng.random() < clinic.lighter_lesion:
    return skin + pigment * colour * (1.1 - skin)
  return skin * (1 - pigment * colour)


def add_hairs(image, clinic: Clinic, rng):
  """Dark or fair hairs: thin arcs across the whole image."""
  count = rng.integers(clinic.hairs[0], clinic.hairs[1] + 1)
  # Hairs of one photograph grow about one way.
  t = rng.uniform(0, np.pi) + rng.normal(0, 0.3, (count, 1, 1))
  shift, bend = rng.uniform(-1, 1, (2, count, 1, 1))
  along = _X * np.cos(t) + _Y * np.sin(t)
  across = _Y * np.cos(t) - _X * np.sin(t) - shift - 0.3 * bend * along**2
  width = rng.uniform(0.01, 0.022, (count, 1, 1))
  cover = 1 - np.prod(1 - 0.9 * np.exp(-((across / width) ** 2)), axis=0)
  colour = rng.choice([0.08, 0.15, 0.8]) * np.array([1.0, 0.85, 0.7])
  return image + cover[..., None] * (colour - image)


def add_ruler(image, clinic: Clinic, rng):
  """A white scale with black marks along one edge, in some photographs."""
  present = rng.random() < clinic.ruler
  quarter_turns, pitch = rng.integers(4), rng.uniform(0.12, 0.25)
  edge = rng.uniform(0.72, 0.9)
  if not present:
    return image
  marks = (np.mod(_X, pitch) < 0.06) & (edge + 0.06 < _Y)
  ruler = np.where(marks, 0.1, 0.92)[..., None]
  turned = np.where(
    (edge < _Y)[..., None], ruler, np.rot90(image, quarter_turns)
  )
  return np.rot90(turned, -quarter_turns)


def add_light_from_a_side(image, clinic: Clinic, rng):
  """Brightness falls off across the image, in any direction."""
  t, strength = rng.uniform(0, 2 * np.pi), rng.uniform(*clinic.light_gradient)
  return image * (1 + strength * (_X * np.cos(t) + _Y * np.sin(t)))[..., None]


def add_highlight(image, clinic: Clinic, rng):
  """A lamp's reflection: one bright soft ellipse."""
  cx, cy = rng.uniform(-0.8, 0.8, 2)
  rx, ry = rng.uniform(0.08, 0.3, 2)
  spot = np.exp(-(((_X - cx) / rx) ** 2) - ((_Y - cy) / ry) ** 2)[..., None]
  return image + rng.uniform(*clinic.highlight) * spot * (1 - image)


def add_colour_cast(image, clinic: Clinic, rng):
  """The camera's gain of each channel, and its white balance's error."""
  error = rng.uniform(-clinic.white_balance, clinic.white_balance, 3)
  return image * np.array(clinic.cast) * (1 + error)


def add_blur(image, clinic: Clinic, rng):
  """Poor focus: a Gaussian, as one matrix for rows and for columns."""
  i = np.arange(IMAGE_SIDE)
  sigma = rng.uniform(*clinic.blur)
  kernel = np.exp(-((i[:, None] - i) ** 2) / (2 * sigma**2))
  kernel /= kernel.sum(1, keepdims=True)
  rows = np.tensordot(kernel, image, (1, 0))  # (h, w, c)
  return np.matmul(kernel, rows)  # Along w, for each row.


def add_noise(image, clinic: Clinic, rng):
  """Sensor noise, independent for each pixel and channel."""
  return image + rng.normal(0, rng.uniform(*clinic.noise), image.shape)


NUISANCES = (
  add_hairs,
  add_ruler,
  add_light_from_a_side,
  add_highlight,
  add_colour_cast,
  add_blur,
  add_noise,
)


class Photograph(NamedTuple):
  """One photograph of a lesion.

  Attributes:
    jpeg: the encoded image, IMAGE_SIDE squared.
    skin: 'dark', 'medium' or 'light'.
  """

  jpeg: bytes
  skin: str


def photograph(lesion: Lesion, clinic: Clinic, rng) -> Photograph:
  """Photographs a lesion: a pose, then all nuisances."""
  tone = rng.uniform(*clinic.skin_tone)
  image = paint(lesion, tone, clinic, rng)
  for nuisance in NUISANCES:
    image = nuisance(image, clinic, rng)
  pixels = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
  low, high = clinic.jpeg_quality
  file = io.BytesIO()
  Image.fromarray(pixels).save(
    file, "JPEG", quality=int(rng.integers(low, high + 1))
  )
  return Photograph(file.getvalue(), _SKINS[int(tone * len(_SKINS) * 0.999)])
