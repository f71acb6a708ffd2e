"""Flags of a study: its file, and how many of its runs at a time."""

from absl import flags

flags.DEFINE_string(
  "study",
  None,
  "File that names a study's arms, seeds, label fractions, folds and "
  "evaluation sets (docs/study.md).",
)
flags.DEFINE_integer(
  "study_jobs",
  None,
  "Runs of a study at a time. Unset: one on each GPU, or one.",
  lower_bound=1,
)
