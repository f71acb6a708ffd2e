"""Flags of what is contrasted with what; all off, none is a default yet."""

from absl import flags

flags.DEFINE_bool(
  "mask_same_patient",
  False,
  "Images of an anchor's patient are not among its negatives.",
)
flags.DEFINE_integer(
  "views_per_bag",
  2,
  "Views of a bag (without --use_micle: of an image) in a batch, each of which "
  "has all others as positives (Khosla et al. 2020): of distinct images as far "
  "as there are any.",
  lower_bound=2,
)
