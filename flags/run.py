"""Flags of a run: what it does, where it writes, what it runs on."""

from absl import flags

flags.DEFINE_enum(
  "mode",
  "pretrain",
  ["pretrain", "finetune", "eval", "export", "predict", "study"],
  "Pretrain an encoder, make it a classifier, say how good that is, export it "
  "for TF Serving, predict images that have no labels, or compare ways to "
  "pretrain in a study of many runs.",
)
flags.DEFINE_string(
  "model_dir",
  None,
  "Folder of the run. Giving the same command again resumes from its newest "
  "checkpoint.",
)
flags.DEFINE_string(
  "checkpoint",
  None,
  "Start from the weights of this run (its folder or a checkpoint in it): "
  "MICLe from SimCLR, or fine-tuning from either. Or from published ones "
  "(docs/pretraining.md): SimCLR's, Keras's .h5, PyTorch's .safetensors, local "
  "or gs://. Not used once the run has a checkpoint itself. Other modes: the "
  "checkpoint to use, if not the best.",
)
flags.DEFINE_enum(
  "checkpoint_parts",
  "encoder_and_head",
  ["encoder", "encoder_and_head"],
  "What to take of --checkpoint: the encoder, and the projection head where it "
  "is there; or the encoder alone.",
)
flags.DEFINE_integer(
  "seed",
  0,
  "Fixes every random choice, with the position in the run.",
  lower_bound=0,
  upper_bound=2**32 - 1,
)
flags.DEFINE_enum(
  "strategy",
  "auto",
  ["auto", "tpu", "mirrored", "multi_worker", "one_device"],
  "Devices to use. auto: a TPU that is named or found, else the workers of "
  "TF_CONFIG, else all GPUs, else one device.",
)
flags.DEFINE_string(
  "tpu_name", None, "The TPU's name or address; 'local' on a TPU VM."
)
flags.DEFINE_integer(
  "log_steps", 50, "Steps between lines of the log.", lower_bound=1
)
flags.DEFINE_integer(
  "checkpoint_steps",
  0,
  "Steps between checkpoints; 0: every --checkpoint_epochs.",
  lower_bound=0,
)
flags.DEFINE_integer(
  "checkpoint_epochs", 1, "Epochs between checkpoints.", lower_bound=1
)
flags.DEFINE_integer(
  "keep_checkpoint_max", 5, "Newest checkpoints to keep.", lower_bound=1
)
