"""Flags of prediction."""

from absl import flags

flags.DEFINE_string(
  "manifest", None, "CSV file of images to predict, one row an image."
)
flags.DEFINE_string(
  "image_root", None, "Folder that the manifest's paths begin in."
)
flags.DEFINE_string("image_column", "image", "Column of image paths.")
flags.DEFINE_string(
  "patient_column",
  None,
  "Column of patient ids. Default: patient_id, if there is such a column; "
  "without one each image is a patient of its own.",
)
flags.DEFINE_string(
  "bag_column",
  None,
  "Column of bag ids, for a model of --unit=bag. Default: a bag is a patient.",
)
flags.DEFINE_integer(
  "max_side",
  None,
  "Larger images are shrunk to this many pixels first. Default: as the data "
  "that the model was trained on, 512 where these are not there.",
  lower_bound=1,
)
flags.DEFINE_string(
  "window",
  None,
  "Range of gray DICOM files, and of 16-bit PNG and TIFF, that becomes black "
  "to white: dicom (the file's own; PNG and TIFF in full), percentiles or "
  "CENTER,WIDTH. Default: as the data that the model was trained on, dicom "
  "where these are not there.",
)
flags.DEFINE_string(
  "frames",
  "all",
  "Frames of DICOM files that hold several: all, middle, or a column with all, "
  "middle or a frame's number from 1.",
)
flags.DEFINE_enum(
  "on_bad_image",
  "fail",
  ["fail", "skip"],
  "What to do when an image is missing or damaged: stop, or leave it out and "
  "list it in OUTPUT.rejected.csv.",
)
flags.DEFINE_string(
  "output",
  None,
  "File to write, .csv or .parquet.",
)
flags.DEFINE_string(
  "embeddings", None, "An .npz for the features of the images, too."
)
flags.DEFINE_string(
  "tensorboard_projector",
  None,
  "Folder for features and thumbnails, for TensorBoard's projector, too.",
)
flags.DEFINE_string(
  "atlas",
  None,
  "A page, .html, that places the images of --eval_split (several joined by +) "
  "by what any run has learnt of them, with their nearest images of other "
  "patients; in place of --manifest and --output.",
)
