"""Photometry options: which colour augmentations a run has, how strong."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class PhotometryOptions:
  """What to do to the colours of training images.

  Attributes:
    color_jitter_strength: s, at least 0. Brightness, contrast and saturation
      change by a factor in [max(1 - 0.8 s, 0), 1 + 0.8 s], hue by
      [-0.2 s, 0.2 s] of the colour wheel. 0 is no jitter.
    jitter_probability: of an image to be jittered.
    grayscale_probability: of an image to lose its colours.
    blur_probability: of an image to be blurred; 0 where blur would hide what
      the diagnosis rests on, as in chest X-rays.

  Raises:
    ValueError: if a value is out of range.
  """

  color_jitter_strength: float = 1.0
  jitter_probability: float = 0.8
  grayscale_probability: float = 0.2
  blur_probability: float = 0.5

  def __post_init__(self):
    if not self.color_jitter_strength >= 0:
      raise ValueError(
        "Expected color_jitter_strength of at least 0. "
        f"Received: color_jitter_strength={self.color_jitter_strength}"
      )
    for name in (
      "jitter_probability",
      "grayscale_probability",
      "blur_probability",
    ):
      probability = getattr(self, name)
      if not 0 <= probability <= 1:
        raise ValueError(
          f"Expected {name} in [0, 1]. Received: {name}={probability}"
        )

  @classmethod
  def of(cls, options):
    """Returns those of a run's `options.TrainingOptions`.

    Without jitter there is no loss of colours either, as in SimCLR.
    """
    jitter, blur = options.color_jitter_strength, options.use_blur
    return cls(
      color_jitter_strength=jitter,
      grayscale_probability=cls.grayscale_probability * (jitter > 0),
      blur_probability=cls.blur_probability * blur,
    )
