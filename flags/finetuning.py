"""Flags of fine-tuning: labels, what is trained, which checkpoint is kept."""

from absl import flags

flags.DEFINE_float(
  "label_fraction",
  1.0,
  "Share of the labelled patients to train on: stratified by label, fixed by "
  "--seed, nested (10% is inside 20%).",
)
flags.DEFINE_enum(
  "unit",
  "image",
  ["image", "bag", "patient"],
  "What has a label: an image, or a bag (a case), whose images are pooled. In "
  "prediction, patient: a row a patient from a model of images, whose "
  "probabilities are averaged.",
)
flags.DEFINE_enum(
  "bag_pooling",
  "attention",
  ["mean", "max", "attention"],
  "With --unit=bag: how the features of a bag's images become one.",
)
flags.DEFINE_integer(
  "bag_views",
  4,
  "With --unit=bag: images of a bag in a training step, drawn anew each time; "
  "repeated where a bag has fewer. Evaluation takes all.",
  lower_bound=1,
)
flags.DEFINE_enum(
  "uncertain",
  "ignore",
  ["ignore", "zeros", "ones"],
  "What an uncertain finding (-1) counts as in training (CheXpert's policies). "
  "Evaluation leaves it out.",
)
flags.DEFINE_enum(
  "class_weights",
  "none",
  ["none", "balanced"],
  "balanced: a label's weight is inverse to how often it occurs in training.",
)
flags.DEFINE_float(
  "focal_gamma",
  0.0,
  "Exponent of the focal loss; 0 is plain cross-entropy, the paper's 2.",
  lower_bound=0.0,
)
flags.DEFINE_integer(
  "fine_tune_after_block",
  -1,
  "Freeze the encoder up to this group of blocks, BatchNorm's statistics too: "
  "-1 nothing, 0 the stem, 4 all of it.",
  lower_bound=-1,
  upper_bound=4,
)
flags.DEFINE_integer(
  "linear_probe_steps",
  0,
  "The first steps, of --train_steps, train the classifier's head only, on "
  "frozen features, BatchNorm's statistics frozen too; then all that "
  "--fine_tune_after_block leaves. The learning rate warms up and falls to 0 "
  "in each phase. -1: half of the steps, which --checkpoint makes the default.",
  lower_bound=-1,
)
flags.DEFINE_float(
  "encoder_rate",
  1.0,
  "Factor of --learning_rate for the encoder and the projection head, weight "
  "decay's pull with it; the classifier's head keeps the rate itself. With "
  "--checkpoint: 0.03.",
)
flags.DEFINE_integer(
  "ft_proj_selector",
  0,
  "Layer of the projection head to fine-tune from; 0: the encoder's output.",
  lower_bound=0,
)
flags.DEFINE_bool(
  "zero_init_logits_layer", False, "Start the classifier's weights at 0."
)
flags.DEFINE_enum(
  "select_by",
  "mean_auroc",
  ["mean_auroc", "mean_auprc", "top1", "balanced_accuracy", "brier", "none"],
  "Score on --eval_split that picks the checkpoint to keep as the best; none: "
  "no validation, the last one counts.",
)
flags.DEFINE_string(
  "operating_point",
  "youden",
  "How the threshold of each class is chosen on --eval_split, for evaluation, "
  "prediction and export: youden (the highest sum of sensitivity and "
  "specificity), sensitivity=0.95 or specificity=0.90 (at least that).",
)
flags.DEFINE_bool(
  "calibrate",
  False,
  "Fit a temperature (of findings: a slope and an intercept each) on "
  "--eval_split, so that probabilities mean what they say there; kept with the "
  "run and used wherever it predicts.",
)
flags.DEFINE_integer(
  "early_stopping",
  0,
  "End after this many validations without a better one; 0: never.",
  lower_bound=0,
)
flags.DEFINE_string(
  "sweep",
  None,
  "File of flag values (--learning_rate=0.1,0.01 a line): every combination is "
  "fine-tuned, one after the other, and --select_by picks.",
)
