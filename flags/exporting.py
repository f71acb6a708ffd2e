"""Flags of exporting a model for TF Serving."""

from absl import flags

flags.DEFINE_string(
  "export_dir",
  None,
  "Folder of a served model; each export is a version in it, EXPORT_DIR/1 and "
  "so on.",
)
flags.DEFINE_integer(
  "export_version",
  None,
  "Number of the version. Default: one more than the highest that is there.",
  lower_bound=1,
  upper_bound=2**63 - 1,
)
flags.DEFINE_boolean(
  "warmup",
  True,
  "Store requests that TF Serving answers as it loads the model, so that the "
  "first user does not wait.",
)
