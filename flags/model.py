"""Flags of the network."""

from absl import flags

flags.DEFINE_enum(
  "resnet_depth",
  "50",
  ["18", "34", "50", "101", "152", "200"],
  "Depth of the ResNet encoder.",
)
flags.DEFINE_enum(
  "resnet_variant",
  "simclr",
  ["simclr", "keras", "torch"],
  "Whose ResNet: stride, padding, biases and input normalisation of SimCLR's "
  "code, of tf.keras.applications, or of torchvision and timm. Weights that "
  "--checkpoint names bring their own.",
)
flags.DEFINE_float(
  "width_multiplier",
  1.0,
  "Width of the encoder; 4 is SimCLR's 4x, 0.25 fits two cores.",
)
flags.DEFINE_float(
  "sk_ratio",
  0.0,
  "Selective kernels' ratio; 0 is off, SimCLR v2's is 0.0625.",
  lower_bound=0.0,
)
flags.DEFINE_float(
  "batch_norm_decay", 0.9, "Decay of BatchNorm's moving statistics."
)
flags.DEFINE_enum(
  "proj_head_mode",
  "nonlinear",
  ["none", "linear", "nonlinear"],
  "Projection head.",
)
flags.DEFINE_integer(
  "proj_out_dim", 128, "Width of the projection.", lower_bound=1
)
flags.DEFINE_integer(
  "num_proj_layers",
  2,
  "Layers of the nonlinear projection head; the paper's has 2, SimCLR v2's 3.",
  lower_bound=1,
)
