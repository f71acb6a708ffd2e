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
flags.DEFINE_float(
  "micle_weight",
  None,
  "Mix losses: this much of MICLe's, of two images of a bag, and the rest of "
  "SimCLR's, of two views of the first one. From 0 to 1. Unset: MICLe's alone, "
  "without a third view.",
)
flags.DEFINE_string(
  "pair_across",
  None,
  "With --use_micle: a metadata column in which a pair's images differ (Vu et "
  "al. 2021), where a bag has such a pair; see docs/pretraining.md.",
)
