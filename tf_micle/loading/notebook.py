"""A run for notebooks: its Keras model, and what turns files into its input."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from tf_micle.evaluation import scoring
from tf_micle.loading import run_network
from tf_micle.views import photometry


class LoadedRun:
  """A run's network with its weights.

  Images are given as a list of paths or of files' bytes, or as views, uint8
  (n, size, size, 3).

  Attributes:
    flags: dict of the run's flags.
    class_names: in the order of the outputs; () for a pretrained run.
    encoder: Keras model of views to features, float32 (n, f). Its layers can be
      frozen and trained as any; so a head of one's own goes on top of it.
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
      ValueError: the image cannot be read, or the run was loaded without
        preprocessing.
    """
    if self._preprocess is None:
      raise ValueError(
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
      ValueError: as `preprocess`.
    """
    parts = [np.zeros((0, self.encoder.output.shape[-1]), np.float32)]
    for start in range(0, len(images), batch_size):
      chunk = images[start : start + batch_size]
      if not isinstance(chunk, (np.ndarray, tf.Tensor)):
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
      ValueError: as `preprocess`; or the run has no classes or takes no bags.
    """
    if self._classifier is None:
      raise ValueError(
        "Expected a fine-tuned run, which has classes. Received: a pretrained "
        "one; it can `embed`"
      )
    if bags is not None and not self._classifier.pooling:
      raise ValueError(
        "Expected bags for a run of --unit=bag only. Received: bags, and a run "
        "of --unit=image"
      )
    if bags is not None and len(bags) != len(images):
      raise ValueError(
        f"Expected a bag for each of {len(images)} images. Received: "
        f"{len(bags)} bags"
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

  def _view(self, image):
    """A view as it is; a path or bytes as a view."""
    return image if isinstance(image, np.ndarray) else self.preprocess(image)


def load(run_dir, preprocessing, path):
  """Opens a run; see `tf_micle.load`."""
  network = run_network.open_run(os.fspath(run_dir), path and os.fspath(path))
  size = network.flags["image_size"]
  views = tf.keras.Input((size, size, 3), dtype=tf.uint8)
  features = network.end_points(photometry.to_float(views))["default"]
  return LoadedRun(
    network.flags,
    tf.keras.Model(views, features),
    network.classifier,
    network.class_names,
    preprocessing and preprocessing(network.flags),
  )
