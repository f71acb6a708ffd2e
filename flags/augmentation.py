"""Flags of the photometry, which the device does."""

from absl import flags

flags.DEFINE_float(
  "color_jitter_strength",
  1.0,
  "Strength of colour jitter. SimCLR: 1.0; chest X-rays: 0.5; 0 leaves colours "
  "as they are, without loss of colours (grayscale) too.",
  lower_bound=0.0,
)
flags.DEFINE_bool(
  "use_blur",
  True,
  "Gaussian blur of half the views. Off for chest X-rays: blur hides the local "
  "texture that a diagnosis rests on.",
)
flags.DEFINE_string(
  "show_pairs",
  None,
  "A .png to draw positive pairs in, as the network would see them; nothing is "
  "trained, and no --model_dir is needed.",
)
