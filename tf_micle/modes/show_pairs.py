"""Picture of positive pairs, without training: --show_pairs."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from PIL import Image

from tf_micle.system.written_whole import written_whole
from tf_micle.views import view_batch, view_picture
from tf_micle.views.photometry_options import PhotometryOptions


@dataclasses.dataclass(frozen=True)
class ShowPairsMode:
  """What to draw, and where to; fields are named as their flags."""

  show_pairs: str
  train_split: str
  seed: int
  color_jitter_strength: float
  use_blur: bool


def run(mode, data, problems):
  """Draws the first pairs of a run as the network would see them.

  Args:
    mode: `ShowPairsMode`.
    data: `data.access.DataAccess`.
    problems: `flags.problems.Problems`; those that are known already.
  """
  source = problems.collect(data.open, mode.train_split)
  most = view_picture.MOST
  pairs = source and problems.collect(data.sample_pairs, source, most)
  problems.stop_if_any()
  step = tf.constant(0, tf.int64)
  seen = view_batch.augment(pairs, mode.seed, step, PhotometryOptions.of(mode))
  picture = Image.fromarray(view_picture.view_picture(seen))
  with written_whole(mode.show_pairs, binary=True) as file:
    picture.save(file, "PNG")
