"""Runs opened to be used: their facts, and their network with its weights.

Evaluation, prediction, export and notebooks open a run by `open_run`, which
reads no weights; `OpenedRun.network` builds the network and restores them all.
"""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf

from tf_micle.classifier.build import build_network
from tf_micle.encoder.build import build_encoder
from tf_micle.evaluation import operating_points
from tf_micle.options import (
  TASKS,
  FinetuneOptions,
  PretrainOptions,
  TrainingOptions,
)
from tf_micle.runs import checkpoint, initial_weights, provenance, trained_on
from tf_micle.runs import folder as run_folder
from tf_micle.system.input_error import InputError
from tf_micle.views import photometry


@dataclasses.dataclass(frozen=True)
class OpenedRun:
  """What a run has left in its folder, less the weights.

  Attributes:
    folder: the run's folder.
    flags: dict of its flags.
    options: those of the flags that shape the network.
    task: 'multi_class' or 'multi_label'; None for a pretrained run.
    class_names: in the order of the classifier's outputs; () for a pretrained
      run.
    trained_on: the `trained_on.PatientSet`s of the run and of those before it.
  """

  folder: str
  flags: dict
  options: TrainingOptions
  task: str | None
  class_names: tuple[str, ...]
  trained_on: tuple[trained_on.PatientSet, ...]

  def misfits(self, task, class_names):
    """Returns why a data set of this task and classes cannot be scored."""
    if task == self.task and set(class_names) & set(self.class_names):
      return []
    received = "an unlabelled data set"
    if class_names:
      received = f"a {task} data set with {', '.join(class_names)}"
    return [
      f"Expected a {self.task} data set with classes of the model: "
      f"{', '.join(self.class_names)}. Received: {received}."
    ]

  def network(self, path=None):
    """Builds the network, under the current strategy, and restores its weights.

    Args:
      path: as in `checkpoint.find`; None for the run's best checkpoint, or the
        newest where none was selected.

    Returns:
      A `RunNetwork`.

    Raises:
      checkpoint.CheckpointError: where it is not there or does not fit.
    """
    where = path or run_folder.best_or_newest(self.folder)
    found = checkpoint.find(where)
    classifier = None
    if self.task:
      classifier, parts = build_network(
        self.options, task=self.task, num_classes=len(self.class_names)
      )
    else:
      parts = {"encoder": build_encoder(self.options)}
    initial_weights.initialise(found, parts)
    points, why = None, []
    if self.task:
      points, why = operating_points.of_checkpoint(self.folder, found)
    if points and points.calibration:
      classifier.calibrate(**points.calibration)
    return RunNetwork(
      self, parts["encoder"], classifier, found, points, tuple(why)
    )


@dataclasses.dataclass(frozen=True)
class RunNetwork:
  """What a run has learnt.

  Attributes:
    run: the `OpenedRun`.
    encoder: Keras model of images, float32 (n, h, w, 3) in [0, 1], to a dict of
      end points.
    classifier: `model.Classifier` over the encoder; None for a pretrained run.
    checkpoint: path of what was restored.
    points: the checkpoint's `OperatingPoints`; None where it has none.
    no_points: why it has none, in a line.
  """

  run: OpenedRun
  encoder: tf.keras.Model
  classifier: tf.keras.Model | None
  checkpoint: str
  points: operating_points.OperatingPoints | None = None
  no_points: tuple[str, ...] = ()

  def end_points(self, images, training=None):
    """Returns the encoder's end points, and as 'default' the features (n, f).

    Args:
      images: float32 (n, h, w, 3) in [0, 1].
      training: as Keras's layers take it.
    """
    if self.classifier is not None:
      return self.classifier.end_points(images, training=training)
    points = self.encoder(images, training=training)
    return {**points, "default": points["final_avg_pool"]}

  def of_views(self):
    """Returns a Keras model of views, uint8 (n, size, size, 3), to features."""
    size = self.run.options.image_size
    views = tf.keras.Input((size, size, 3), dtype=tf.uint8)
    features = self.end_points(photometry.to_float(views))["default"]
    return tf.keras.Model(views, features)

  @property
  def variables(self):
    """All of the network's variables."""
    return (self.classifier or self.encoder).variables


def open_run(folder, *, tuned=False):
  """Opens a run; reads no weights yet.

  Args:
    folder: the run's.
    tuned: whether it must be a fine-tuned one.

  Returns:
    An `OpenedRun`.

  Raises:
    InputError: if the folder is not such a run's, or its files are damaged.
  """
  flags = run_folder.read_flags(folder)
  if not flags:
    raise InputError(
      f"Expected the folder of a run, with its {run_folder.FLAGS}. Received: "
      f"{folder}"
    )
  facts = provenance.read(folder)
  is_tuned = "class_names" in facts
  if is_tuned and (
    facts.get("task") not in TASKS or not isinstance(facts["class_names"], list)
  ):
    raise run_folder.damaged(
      os.path.join(folder, run_folder.PROVENANCE), "no task with its classes"
    )
  if tuned and not is_tuned:
    raise InputError(
      "Expected --model_dir to be the folder of a fine-tuned run "
      f"(--mode=finetune). Received: {folder}"
    )
  seen = tuple(trained_on.read(folder))
  if is_tuned and not any(one.stage == "finetune" for one in seen):
    raise InputError(
      f"Expected {trained_on.FILE_NAME} in {folder}, which says whom the model "
      "was fine-tuned on. Received: a folder without it; copy it too."
    )
  return OpenedRun(
    folder,
    flags,
    _options(FinetuneOptions if is_tuned else PretrainOptions, flags),
    facts["task"] if is_tuned else None,
    tuple(facts["class_names"]) if is_tuned else (),
    seen,
  )


def _options(options_class, flags):
  """Makes an options object from the flags of the same names."""
  names = [field.name for field in dataclasses.fields(options_class)]
  try:
    return options_class(
      **{name: flags[name] for name in names if name in flags}
    )
  except TypeError as error:
    raise run_folder.damaged(run_folder.FLAGS, str(error)) from error
