"""The model side: from uint8 views to a trained encoder."""

import importlib.util
import os

# From TensorFlow 2.16 on `tf.keras` is Keras 3, with other checkpoints and
# optimisers, unless this is set before `tf.keras` is used for the first time.
if importlib.util.find_spec("tf_keras"):
  os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")


def load(run_dir, preprocessing=None, checkpoint=None):
  """Opens a run, pretrained or fine-tuned, for a notebook.

  Images become views in `data`, which this package does not import: hand over
  `data.file_views.of_run`, as `run.py` does, to work with files.

  Args:
    run_dir: the run's folder.
    preprocessing: from the run's flags, a dict, to a function from a path or
      bytes to a view, uint8 (size, size, 3); None to work with views alone.
    checkpoint: a checkpoint of the run; None: the best, or the newest where
      none was selected.

  Returns:
    A `notebook.LoadedRun`.

  Raises:
    InputError: if the folder is not a run's or has no checkpoint.
  """
  from tf_micle.loading import notebook

  return notebook.load(run_dir, preprocessing, checkpoint)
