"""Published weights opened, whatever their format."""

from __future__ import annotations

import tensorflow as tf

from tf_micle.encoder.published import (
  files,
  keras_h5,
  object_graph,
  pickles,
  simclr,
  torch_safetensors,
)
from tf_micle.encoder.published.files import FORMATS, WeightsError

_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
# In the names of the variables of BiT, Big Transfer.
_OF_BIT = ("group_norm", "standardized_conv")

_NAMES_ONLY = (
  ", whose variables have names only. SimCLR's weights are published for "
  "TensorFlow 2 in gs://simclr-checkpoints-tf2"
)


def open_weights(path):
  """Opens the weights that others have published; reads no array yet.

  Args:
    path: a file, a folder, or a checkpoint's prefix; local, or what TensorFlow
      reads (gs://...).

  Returns:
    `weights.PublishedWeights`; None for a checkpoint that is not SimCLR's, such
    as one of our own runs, and for what is not there.

  Raises:
    WeightsError: for a file of another format or network; says what to do.
  """
  path = str(path)
  kind = files.kind(path)
  readers = {
    files.HDF5: keras_h5.read,
    files.SAFETENSORS: torch_safetensors.read,
    files.CHECKPOINT: _checkpoint,
    files.SAVED_MODEL: _saved_model,
  }
  if kind is None:
    if files.listed(path) or not files.exists(path):
      return None
    raise WeightsError(f"Expected {FORMATS}. Received: {path}, none of these")
  if kind in files.PICKLES:
    raise pickles.refusal(path)
  try:
    return readers[kind](path)
  except WeightsError as error:
    raise WeightsError(f"Expected {path} to be {FORMATS}. {error}") from error


def read_arrays(weights, names):
  """Returns arrays of `PublishedWeights`, by name.

  Raises:
    WeightsError: if they cannot be read.
  """
  try:
    return {name: weights.tensors[name].read() for name in names}
  except WeightsError:
    raise
  except (OSError, *_READ_ERRORS) as error:
    raise WeightsError(
      f"Expected weights that can be read. Received: {weights.path}, which "
      f"cannot ({error})"
    ) from error


def _checkpoint(path):
  prefix = newest(path)
  reader = _reader(prefix)
  root = object_graph.root(reader)
  if root is None:
    raise WeightsError(f"Received: a checkpoint of TensorFlow 1{_NAMES_ONLY}")
  if not simclr.is_simclr(root):
    return None
  return simclr.read(
    reader, root, path=path, files=_files(prefix), form="checkpoint"
  )


def _saved_model(path):
  path = path.rstrip("/")
  prefix = object_graph.prefix_of_saved_model(path)
  reader = _reader(prefix)
  root = object_graph.root(reader)
  if not simclr.is_simclr(root):
    raise WeightsError(f"Received: {_what_saved_model(reader, root)}")
  return simclr.read(
    reader,
    root,
    path=path,
    files=(f"{path}/saved_model.pb", *_files(prefix)),
    form="SavedModel",
  )


def _what_saved_model(reader, root):
  """Says which SavedModel it is that is none of ours."""
  names = object_graph.full_names(reader)
  if any(part in name for name in names for part in _OF_BIT):
    return (
      "a SavedModel of BiT (Big Transfer), which REMEDIS's published models "
      "are: ResNet v2, with GroupNorm and standardised kernels before each "
      "activation, where ours has BatchNorm after each convolution"
    )
  if root is None:
    return f"a SavedModel of TensorFlow 1{_NAMES_ONLY}"
  return (
    "a SavedModel without SimCLR's resnet_model. Of what --mode=export wrote, "
    "give the folder of the run that was exported"
  )


def newest(path):
  """Returns the prefix of a folder's newest checkpoint, or `path` of another.

  Args:
    path: a folder with a checkpoint, or a checkpoint's prefix.
  """
  names = () if files.is_prefix(path) else files.listed(path)
  prefixes = [n.removesuffix(".index") for n in names if n.endswith(".index")]
  if not prefixes:
    return path
  told = tf.train.latest_checkpoint(path)
  return told or tf.io.gfile.join(path, max(prefixes, key=_step))


def _step(prefix):
  step = prefix.rpartition("-")[2]
  return int(step) if step.isdigit() else -1


def _reader(prefix):
  try:
    # `tf.train.load_checkpoint` would ask whether it is a folder.
    return tf.compat.v1.train.NewCheckpointReader(prefix)
  except _READ_ERRORS as error:
    raise WeightsError(
      f"Received: {prefix}, which is damaged or not all there ({error})"
    ) from error


def _files(prefix):
  """Returns the files of a checkpoint, sorted."""
  return tuple(sorted(tf.io.gfile.glob(f"{prefix}.[id]*")))
