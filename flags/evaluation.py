"""Flags of evaluation."""

from absl import flags

flags.DEFINE_float(
  "specificity", 0.9, "Specificity at which sensitivity is reported."
)
flags.DEFINE_integer(
  "bootstrap_samples",
  1000,
  "Samples of patients behind each interval.",
  lower_bound=2,
)
flags.DEFINE_bool(
  "heat_maps",
  True,
  "Whether the report has heat maps (Grad-CAM) of the most wrong cases, and "
  "their check by random weights.",
)
flags.DEFINE_string(
  "compare",
  None,
  "Another model's evaluation of the same images (RUN/eval/test): the paired "
  "difference is reported too. Or one of another data set: then the unpaired "
  "difference between the two sites.",
)
