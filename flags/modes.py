"""Modes that use each flag; a flag that a mode does not use is refused."""

from __future__ import annotations

ALL = ("pretrain", "finetune", "eval", "export", "predict", "study")
TRAIN = ("pretrain", "finetune")
# Modes that use a run which is there, and train nothing.
USES_RUN = ("eval", "export", "predict")
# Flags that prediction uses for --atlas only.
ATLAS = ("patient_feature", "eval_split", "on_bad_record", "seed")
_RUNS = (*TRAIN, *USES_RUN)  # A study starts these.
_SCORES = (*TRAIN, "eval")

# What may differ when a run is resumed: how long (more, not less), how often,
# on what, and where the same data lie.
_MAY_CHANGE = frozenset(
  "train_steps train_epochs log_steps checkpoint_steps checkpoint_epochs "
  "keep_checkpoint_max eval_batch_size eval_split on_bad_record strategy "
  "tpu_name data_dir model_dir checkpoint checkpoint_parts demo remat jit "
  "operating_point calibrate health_checks".split()
)

# By the module that defines a flag; `_OWN` has the exceptions.
_OF_MODULE = {
  "run": ALL,
  "data": TRAIN,
  "augmentation": TRAIN,
  "model": TRAIN,
  "training": TRAIN,
  "objective": ("pretrain",),
  "finetuning": ("finetune",),
  "evaluation": ("eval",),
  "exporting": ("export",),
  "prediction": ("predict",),
  "studying": ("study",),
}
_OWN = {
  **dict.fromkeys(
    (
      *("use_micle", "temperature", "hidden_norm", "micro_batch_size"),
      *("lineareval_while_pretraining", "loss_reduction", "health_checks"),
      "show_pairs",
    ),
    ("pretrain",),
  ),
  **dict.fromkeys(
    (
      *("log_steps", "checkpoint_steps", "checkpoint_epochs"),
      "keep_checkpoint_max",
    ),
    TRAIN,
  ),
  "checkpoint_parts": TRAIN,
  # Export and prediction ask them how large the images were stored.
  "data_dir": ALL,
  **dict.fromkeys(("dataset", "checkpoint"), _RUNS),
  **dict.fromkeys(ATLAS, (*_SCORES, "predict")),
  "strategy": (*_SCORES, "predict"),
  "tpu_name": (*_SCORES, "predict"),
  "eval_batch_size": (*_SCORES, "predict"),
  "max_side": ("export", "predict"),
  "unit": ("finetune", "predict"),
}


def of(name, module):
  """Returns the modes that use a flag.

  Args:
    name: of the flag.
    module: name of the module of `flags` that defines it.
  """
  return _OWN.get(name, _OF_MODULE[module])


def may_change(mode):
  """Returns the flags that may differ when a run is resumed."""
  # What picks the checkpoint of fine-tuning stays what it was.
  return _MAY_CHANGE - {"eval_split"} if mode == "finetune" else _MAY_CHANGE
