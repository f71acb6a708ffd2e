"""Flags of what is contrasted with what; all off, none is a default yet."""

from absl import flags

flags.DEFINE_bool(
  "mask_same_patient",
  False,
  "Images of an anchor's patient are not among its negatives.",
)
flags.DEFINE_bool(
  "decoupled_loss",
  False,
  "Leave positives out of NT-Xent's denominator (Yeh et al. 2022).",
)
