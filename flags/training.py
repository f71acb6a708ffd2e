"""Flags of the objective and its optimisation."""

from absl import flags

flags.DEFINE_integer(
  "train_batch_size",
  512,
  "Global batch. Pretraining: positive pairs, of bags with --use_micle, else "
  "of images. Fine-tuning: images, or bags with --unit=bag.",
  lower_bound=2,
)
flags.DEFINE_integer(
  "micro_batch_size",
  None,
  "Pairs whose activations are in memory at a time, a divisor of a device's "
  "share of --train_batch_size. The gradient stays that of the whole batch; "
  "BatchNorm takes the statistics of a micro-batch. Unset: all at once.",
  lower_bound=1,
)
flags.DEFINE_bool(
  "remat",
  False,
  "Residual blocks keep only their input and run again in the backward pass: "
  "less memory, more time, the same result.",
)
flags.DEFINE_enum(
  "jit",
  "auto",
  ["auto", "on", "off"],
  "Compile the training step by XLA. auto: with one GPU (not tried; a TPU "
  "compiles in any case). Slower on a CPU, and not for several devices.",
)
flags.DEFINE_enum(
  "precision",
  "auto",
  ["auto", "float32", "bfloat16", "float16"],
  "What the encoder computes in while it trains; weights, statistics, "
  "projections and loss are float32. auto: bfloat16 where the device has units "
  "for it (TPU, GPU from compute capability 8.0 on, CPU with avx512_bf16 or "
  "amx_bf16), else float32.",
)
flags.DEFINE_integer(
  "train_steps", None, "Steps to train for; unset: --train_epochs."
)
flags.DEFINE_integer("train_epochs", 100, "Epochs to train for.", lower_bound=1)
flags.DEFINE_integer(
  "eval_batch_size",
  256,
  "Images in a batch of validation and evaluation.",
  lower_bound=1,
)
flags.DEFINE_enum(
  "optimizer",
  "lars",
  ["lars", "momentum", "adam", "adamw"],
  "Optimiser; --mode=finetune: momentum, with --checkpoint adam.",
)
flags.DEFINE_float(
  "learning_rate", 0.3, "Learning rate, before --learning_rate_scaling."
)
flags.DEFINE_enum(
  "learning_rate_scaling",
  "linear",
  ["linear", "sqrt", "none"],
  "Multiplies the rate by batch / 256, by the root of the batch, or by 1.",
)
flags.DEFINE_float(
  "warmup_epochs", 10.0, "Epochs of linear warm-up.", lower_bound=0.0
)
flags.DEFINE_integer(
  "warmup_steps",
  None,
  "Steps of linear warm-up, which are the same over bags and over images; "
  "unset: --warmup_epochs.",
  lower_bound=0,
)
flags.DEFINE_float("momentum", 0.9, "Momentum of LARS and SGD.")
flags.DEFINE_float(
  "weight_decay", 1e-6, "Weight decay of kernels.", lower_bound=0.0
)
flags.DEFINE_float("temperature", 0.1, "Temperature of NT-Xent.")
flags.DEFINE_bool(
  "hidden_norm", True, "Compare projections by cosine, at unit length."
)
flags.DEFINE_enum(
  "loss_reduction",
  "pairs",
  ["pairs", "anchors"],
  "NT-Xent of a batch. pairs: sum over a pair's two views, mean over pairs, as "
  "in SimCLR's code; its learning rates and weight decays are for this one. "
  "anchors: mean over views, half as much, as in the paper's equation.",
)
flags.DEFINE_bool(
  "lineareval_while_pretraining",
  True,
  "Train a linear probe on the features, behind a stopped gradient, where "
  "there are labels.",
)
flags.DEFINE_bool(
  "health_checks",
  True,
  "Measure held-out images of --eval_split at step 0 and at checkpoints, "
  "without labels: does the run learn, or collapse? (docs/pretraining.md)",
)
