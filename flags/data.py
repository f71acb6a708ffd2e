"""Flags of the data: which images, and how views are cut from them."""

from absl import flags

flags.DEFINE_string(
  "data_dir",
  None,
  "Folder of bag TFRecords (see data.build_tfrecords); with --dataset, where "
  "TFDS keeps its data.",
)
flags.DEFINE_string(
  "dataset", None, "A prepared TFDS data set instead, such as imagenet2012."
)
flags.DEFINE_string(
  "patient_feature",
  None,
  "With --dataset: the feature that says whose image it is. A patient's images "
  "are then a bag; otherwise each image is a bag of one.",
)
flags.DEFINE_string(
  "train_split",
  "train",
  "Split to train on; several of bag TFRecords joined by +, as 1+2+3 of folds.",
)
flags.DEFINE_string(
  "eval_split",
  "validation",
  "Split that scores the linear probe and picks the checkpoint of fine-tuning; "
  "with --mode=eval the one to evaluate, with --atlas the one to show.",
)
flags.DEFINE_enum(
  "on_bad_record",
  "fail",
  ["fail", "skip"],
  "What to do about damaged records: stop when one is read, or read all of "
  "them first and leave damaged ones out, up to a hundredth.",
)
flags.DEFINE_integer(
  "read_parts",
  None,
  "Parts that the training data's files are read in, each shuffled by itself "
  "and giving equally many rows of a batch: 1, or a multiple of the workers, "
  "each of which reads its own only. Unset: the workers' number, or 1 with "
  "--dataset and in fine-tuning. The result depends on the parts, not on the "
  "workers.",
  lower_bound=1,
)
flags.DEFINE_bool("cache_dataset", False, "Keep the encoded images in memory.")
flags.DEFINE_bool(
  "use_micle",
  False,
  "Pair two images of a bag (MICLe) instead of two views of an image (SimCLR).",
)
flags.DEFINE_integer(
  "image_size", 224, "Pixels a side of a view.", lower_bound=8
)
flags.DEFINE_float(
  "min_crop_area",
  0.08,
  "Smallest share of an image's area in a crop; see --min_object_covered. "
  "SimCLR's 0.08 suits large photographs; small lesions and small images need "
  "gentler ones (0.3 to 0.6).",
)
flags.DEFINE_float(
  "min_object_covered",
  0.1,
  "Crops of less than this share of an image's area are drawn again, so that "
  "--min_crop_area=0.08 is nominal, as in SimCLR. 0: crops are as small as "
  "--min_crop_area.",
  lower_bound=0.0,
  upper_bound=1.0,
)
flags.DEFINE_enum(
  "resize_method",
  "bicubic",
  ["bicubic", "bilinear"],
  "Interpolation of crops; SimCLR's is bicubic.",
)
flags.DEFINE_bool(
  "horizontal_flip",
  True,
  "Mirror half the views left to right. Off where sides mean something.",
)
flags.DEFINE_bool(
  "vertical_flip",
  False,
  "Mirror half the views top to bottom: skin and cells, not chests.",
)
flags.DEFINE_bool(
  "equalize",
  False,
  "Cut half the views from the image in grey, its histogram equalised, as "
  "REMEDIS does with X-rays.",
)
flags.DEFINE_bool(
  "elastic",
  False,
  "Deform views elastically, as REMEDIS does with X-rays.",
)
flags.DEFINE_float(
  "rotation_degrees", 0.0, "Turn views by up to this; 45 for chest X-rays."
)
