"""Runs for notebooks: a Keras model, and what turns files into its input."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tf_micle.evaluation import scoring
from tf_micle.loading.opened import open_run
from tf_micle.system.input_error import InputError
from tf_micle.system.plurals import counted

_ARRAYS = (np.ndarray, tf.Tensor)
_FILES = (str, bytes, os.PathLike)
_ONE = "a path, or the bytes of a file"


class LoadedRun:
  """A run's network with its weights.

  Images are given as a list of paths or of files' bytes, or as an array of
  views, uint8 (n, size, size, 3).

  Attributes:
    flags: dict of the run's flags.
    class_names: in the order of the outputs; () for a pretrained run.
    encoder: Keras model of views to features, float32 (n, f). Its layers can be
      frozen and trained as any; so a head of one's own may stand on it.
    model: Keras model of views to probabilities, float32 (n, classes), over the
      same layers as `encoder`; a bag model's takes each image as a bag of one.
      For a pretrained run it is `encoder`.
  """

  def __init__(self, flags, encoder, classifier, class_names, preprocess):
    """See `load`."""
    self.flags = flags
    self.class_names = class_names
    self.encoder = encoder
    self.model = encoder
    self._classifier = classifier
    self._preprocess = preprocess
    if classifier is not None:
      features = encoder.output
      if classifier.pooling:
        chances = classifier.bag_probabilities(features[:, None])
      else:
        chances = classifier.probabilities(features)
      self.model = tf.keras.Model(encoder.input, chances)

  def preprocess(self, image):
    """Returns the view that evaluation has of an image.

    Args:
      image: a path, or the bytes of a file.

    Returns:
      uint8 (size, size, 3).

    Raises:
      InputError: it is neither, or the run was loaded without preprocessing.
      ValueError: the image cannot be read; names it and the reason.
    """
    if not isinstance(image, _FILES):
      raise InputError(f"Expected {_ONE}. Received: {_kind(image)}")
    if self._preprocess is None:
      raise InputError(
        "Expected a run that was loaded with its preprocessing: from data "
        "import file_views; tf_micle.load(RUN, file_views.of_run). Received: "
        "a path or bytes, and none"
      )
    return self._preprocess(image)

  def embed(self, images, batch_size=64):
    """Returns the features of images, float32 (n, f).

    Args:
      images: see the class.
      batch_size: images that are decoded at once.

    Raises:
      InputError: these are no images as the class takes them; names the first
        such one by its position.
      ValueError: as `preprocess`.
    """
    images = self._listed(images)
    parts = [np.zeros((0, self.encoder.output.shape[-1]), np.float32)]
    for start in range(0, len(images), batch_size):
      chunk = images[start : start + batch_size]
      if not isinstance(chunk, _ARRAYS):
        chunk = np.stack([self._view(image) for image in chunk])
      parts.append(self.encoder.predict_on_batch(chunk))
    return np.concatenate(parts)

  def predict(self, images, bags=None, batch_size=64):
    """Returns probabilities of images, or of bags of them.

    Args:
      images: see the class.
      bags: for a model of bags, the bag of each image: n values; None: each
        image is a bag of its own.
      batch_size: as in `embed`.

    Returns:
      float32 (n, classes), or (bags, classes) in the order of first appearance.

    Raises:
      InputError: as `embed`; or the run has no classes or takes no bags.
    """
    if self._classifier is None:
      raise InputError(
        "Expected a fine-tuned run, which has classes. Received: a pretrained "
        "one; it can `embed`"
      )
    images = self._listed(images)
    if bags is not None and not self._classifier.pooling:
      raise InputError(
        "Expected bags for a run of --unit=bag only. Received: bags, and a run "
        "of --unit=image"
      )
    if bags is not None and len(bags) != len(images):
      raise InputError(
        f"Expected the bag of each of {counted(len(images), 'image')}. "
        f"Received: {counted(len(bags), 'bag')}"
      )
    members = {}
    for place, bag in enumerate(range(len(images)) if bags is None else bags):
      members.setdefault(bag, []).append(place)
    if not members:
      return np.zeros((0, len(self.class_names)), np.float32)
    return scoring.probabilities(
      self._classifier,
      self.embed(images, batch_size),
      [np.array(places) for places in members.values()],
      self.flags["unit"],
    )

  def _listed(self, images):
    """Images as an array of views, or as a list of what `_view` takes."""
    if isinstance(images, _FILES):
      raise InputError(
        "Expected a list of images. Received: a single one, "
        f"{_named(images)}. Put it into a list"
      )
    if isinstance(images, _ARRAYS):
      return self._checked(images)
    if not isinstance(images, Iterable):
      raise InputError(f"Expected a list of images. Received: {_kind(images)}")
    images = list(images)
    for place, image in enumerate(images):
      if not isinstance(image, (*_FILES, *_ARRAYS)):
        raise InputError(
          f"Expected {_ONE}, or a view, in images[{place}]. Received: "
          f"{_kind(image)}"
        )
    return images

  def _view(self, image):
    """A view as it is; a path or bytes as a view."""
    if isinstance(image, _ARRAYS):
      return self._checked(image[None])[0]
    return self.preprocess(image)

  def _checked(self, views):
    """Views, where they are uint8 (n, size, size, 3)."""
    expected = self.encoder.input_shape
    shape = tuple(views.shape)
    if views.dtype != np.uint8 or (None, *shape[1:]) != expected:
      raise InputError(
        "Expected paths, bytes, or views as `preprocess` makes them: uint8 "
        f"(n, {', '.join(map(str, expected[1:]))}). Received: an array of "
        f"{views.dtype.name} {shape}"
      )
    return views


def _kind(thing):
  kind = type(thing).__name__
  return kind if thing is None else f"an object of class {kind}"


def _named(image):
  return "bytes" if isinstance(image, bytes) else repr(os.fspath(image))


def load(run_dir, preprocessing, path):
  """Opens a run; see `tf_micle.load`."""
  run = open_run(os.fspath(run_dir))
  network = run.network(path and os.fspath(path))
  return LoadedRun(
    run.flags,
    network.of_views(),
    network.classifier,
    run.class_names,
    preprocessing and preprocessing(run.flags),
  )
