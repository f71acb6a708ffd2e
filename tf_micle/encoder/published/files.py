"""Kinds of files of weights, told by their content.

TensorFlow is imported for remote paths only.
"""

from __future__ import annotations

import hashlib
import os
import re

from tf_micle.system.input_error import InputError

CHECKPOINT, SAVED_MODEL = "checkpoint", "saved_model"
HDF5, SAFETENSORS, PICKLE, ZIP = "hdf5", "safetensors", "pickle", "zip"

FORMATS = (
  "a checkpoint or SavedModel of google-research/simclr tf2/, weights of "
  "tf.keras.applications' ResNet50, 101 or 152 in HDF5, or of torchvision's or "
  "timm's ResNets in .safetensors"
)
PICKLES = (PICKLE, ZIP)

_SAVED_MODEL_FILE = "saved_model.pb"
# The first bytes of a file, the first that matches.
_SIGNATURES = {
  re.compile(rb"\x89HDF\r\n\x1a\n"): HDF5,
  re.compile(rb"PK\x03\x04"): ZIP,  # What torch.save writes, or a .keras file.
  # The length of a JSON object, in 8 bytes of which the last are 0; the object.
  re.compile(rb"(?s).{5}\0{3}\{"): SAFETENSORS,
  re.compile(rb"\x80[\2-\5]"): PICKLE,
}
_LONGEST = 9


class WeightsError(InputError):
  """Weights that are not there, cannot be read, or are of another network."""


def is_remote(path):
  """Whether only TensorFlow can open a path, such as gs://bucket/file."""
  return "://" in str(path)


def kind(path):
  """Returns what a path is, one of this module's kinds; None if none of them.

  Args:
    path: a file, a folder, or a checkpoint's prefix.
  """
  if is_prefix(path):
    return CHECKPOINT
  names = listed(path)
  if _SAVED_MODEL_FILE in names:
    return SAVED_MODEL
  if any(name.endswith(".index") for name in names):
    return CHECKPOINT
  if names or not exists(path):
    return None
  with opened(path) as file:
    first = bytes(file.read(_LONGEST))
  matches = (kind for start, kind in _SIGNATURES.items() if start.match(first))
  return next(matches, None)


def is_prefix(path):
  """Whether a path is a checkpoint's prefix.

  To be asked before `listed`: a file system without folders may take a prefix
  for one.
  """
  return exists(f"{path}.index")


def exists(path):
  """Whether there is a file or a folder."""
  return _gfile().exists(path) if is_remote(path) else os.path.exists(path)


def listed(path):
  """Returns the names in a folder, sorted; () for what is none."""
  if is_remote(path):
    gfile = _gfile()
    names = gfile.listdir(path) if gfile.isdir(path) else ()
    return tuple(sorted(name.rstrip("/") for name in names))
  return tuple(sorted(os.listdir(path))) if os.path.isdir(path) else ()


def opened(path):
  """Returns a file opened for reading bytes."""
  return _gfile().GFile(path, "rb") if is_remote(path) else open(path, "rb")


def digest(paths):
  """Returns the SHA-256, hexadecimal, of files, one after the other."""
  found = hashlib.sha256()
  for path in paths:
    with opened(path) as file:
      while block := file.read(1 << 20):
        found.update(block)
  return found.hexdigest()


def _gfile():
  import tensorflow as tf

  return tf.io.gfile
