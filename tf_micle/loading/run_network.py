"""The network of a run, pretrained or fine-tuned, with its weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from tf_micle.encoder.build import build_encoder
from tf_micle.loading import tuned_run
from tf_micle.options import FinetuneOptions, PretrainOptions
from tf_micle.runs import checkpoint, initial_weights, provenance
from tf_micle.runs import folder as run_folder
from tf_micle.system.input_error import InputError


@dataclasses.dataclass(frozen=True)
class RunNetwork:
  """What a run has learnt.

  Attributes:
    run_dir: the run's folder.
    flags: dict of the run's flags.
    options: those of the flags that shape the network.
    encoder: Keras model of images, float32 (n, h, w, 3) in [0, 1], to a dict of
      end points.
    classifier: `model.Classifier` over the encoder; None for a pretrained
      run.
    class_names: in the order of the classifier's outputs.
    checkpoint: path of what was restored.
  """

  run_dir: str
  flags: dict
  options: Any
  encoder: tf.keras.Model
  classifier: tf.keras.Model | None
  class_names: tuple[str, ...]
  checkpoint: str

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

  @property
  def variables(self):
    """All of the network's variables."""
    return (self.classifier or self.encoder).variables


def open_run(run_dir, path=None):
  """Builds a run's network and restores its weights, all of them.

  Args:
    run_dir: the run's folder.
    path: as in `checkpoint.find`; None for the best checkpoint, or the newest
      where none was selected.

  Returns:
    A `RunNetwork`.

  Raises:
    InputError: if the folder is not a run's or has no checkpoint that fits.
  """
  flags = run_folder.read_flags(run_dir)
  if not flags:
    raise InputError(
      "Expected the folder of a run, with its flags.json. Received: "
      f"{run_dir}"
    )
  if "class_names" in provenance.read(run_dir):
    tuned = tuned_run.TunedRun(run_dir)
    options = _pick(FinetuneOptions, flags)
    classifier, path = tuned.classifier(options, path)
    encoder, names = classifier.encoder, tuned.class_names
  else:
    options = _pick(PretrainOptions, flags)
    encoder, classifier, names = build_encoder(options), None, ()
    path = checkpoint.find(path or run_dir)
    initial_weights.initialise(path, {"encoder": encoder})
  return RunNetwork(run_dir, flags, options, encoder, classifier, names, path)


def _pick(options_class, flags):
  """Makes an options object from the flags of the same names."""
  names = [field.name for field in dataclasses.fields(options_class)]
  try:
    return options_class(
      **{name: flags[name] for name in names if name in flags}
    )
  except TypeError as error:
    raise InputError(
      f"Expected a flags.json as this version writes it. Received: {error}"
    ) from error
