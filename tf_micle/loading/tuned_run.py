"""A fine-tuned run, opened to be used: its classes, patients and weights."""

from __future__ import annotations

import os

from tf_micle.classifier.build import build_network
from tf_micle.runs import (
  checkpoint,
  initial_weights,
  provenance,
  trained_on,
)
from tf_micle.runs import folder as run_folder
from tf_micle.system.input_error import InputError


class TunedRun:
  """What fine-tuning left in its folder.

  Attributes:
    task: 'multi_class' or 'multi_label'.
    class_names: in the order of the model's outputs.
    trained_on: the `trained_on.PatientSet`s of the run and of those before it.
  """

  def __init__(self, run_dir):
    """Opens `run_dir`; reads no weights yet.

    Raises:
      InputError: if it is not the folder of a fine-tuned run.
    """
    facts = provenance.read(run_dir)
    if "class_names" not in facts:
      raise InputError(
        "Expected --model_dir to be the folder of a fine-tuned run "
        f"(--mode=finetune). Received: {run_dir}"
      )
    self._run_dir = run_dir
    self.task = facts["task"]
    self.class_names = tuple(facts["class_names"])
    self.trained_on = trained_on.read(run_dir)
    if not any(one.stage == "finetune" for one in self.trained_on):
      raise InputError(
        f"Expected {trained_on.FILE_NAME} in {run_dir}, which says whom the "
        "model was fine-tuned on. Received a folder without it: copy it too."
      )

  def misfits(self, task, class_names):
    """Returns why a data set of this task and classes cannot be scored."""
    if task == self.task and set(class_names) & set(self.class_names):
      return []
    return [
      f"Expected a {self.task} data set with classes of the model: "
      f"{', '.join(self.class_names)}. Received a {task} one with: "
      f"{', '.join(class_names) or 'none'}."
    ]

  def classifier(self, options, path=None):
    """Builds the classifier and restores its weights, all of them.

    Args:
      options: `options.FinetuneOptions`, the run's.
      path: as in `checkpoint.find`; None for the run's best checkpoint, or the
        newest where none was selected.

    Returns:
      A `model.Classifier`, and the checkpoint's path.

    Raises:
      checkpoint.CheckpointError: where it is not there or does not fit.
    """
    if path is None:
      best = os.path.join(self._run_dir, run_folder.BEST)
      path = best if os.path.isdir(best) else self._run_dir
    path = checkpoint.find(path)
    model, parts = build_network(
      options, task=self.task, num_classes=len(self.class_names)
    )
    initial_weights.initialise(path, parts)
    return model, path
