"""SavedModel of a run: signatures for a server, a callable for Python.

The graphs have preprocessing in them and need nothing but TensorFlow.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_micle.classifier.pooling import pad_bags
from tf_micle.views import photometry

_MOST_TOP_CLASSES = 5

DEFAULT = "serving_default"
IMAGES, EMBED, PATIENTS = "images", "embed", "classify_patients"


class ServedModel:
  """A run's network as `tf.saved_model.save` takes it.

  Attributes:
    root: the object to save. Loaded by `hub.load` or `tf.saved_model.load` it
      is an image feature vector as TF Hub has them: called with images,
      float32 (n, h, w, 3) in [0, 1], it returns features (n, f), with
      `return_endpoints=True` a dict of end points, of which 'default' are the
      features; `training=True` is for fine-tuning, with its `variables`,
      `trainable_variables` and `regularization_losses`.
    signatures: dict of name to `tf.function`, for a server. An encoder alone
      has 'embed'.
  """

  def __init__(self, network, *, to_views, image_size):
    """Makes the graphs.

    Args:
      network: `loading.opened.RunNetwork`.
      to_views: encoded images, string (n,), to uint8 (n, s, s, 3), in
        TensorFlow operations.
      image_size: s.
    """
    self._network = network
    self._classifier = network.classifier
    self._to_views = to_views
    self._image_size = image_size
    self.root = self._root()
    self.signatures = {EMBED: self._embed_signature()}
    if self._classifier is not None:
      self.signatures.update(self._classifying_signatures())

  def _features(self, images):
    return self._network.end_points(images, training=False)["default"]

  def _root(self):
    # Keras objects are left out: only the newest Keras would know them.
    root = tf.train.Checkpoint()
    root.variables = self._network.variables
    root.trainable_variables = self._network.encoder.trainable_variables
    root.regularization_losses = []
    spec = tf.TensorSpec((None, None, None, 3), tf.float32, "images")

    @tf.function(autograph=False)
    def call(images, training=False, return_endpoints=False):
      points = self._network.end_points(images, training=training)
      return points if return_endpoints else points["default"]

    for training in (False, True):
      for return_endpoints in (False, True):
        call.get_concrete_function(
          spec, training=training, return_endpoints=return_endpoints
        )
    root.__call__ = call
    return root

  def _embed_signature(self):
    @tf.function(autograph=False, input_signature=[_encoded()])
    def embed(images):
      return {"embedding": self._features(self._decoded(images))}

    return embed

  def _classifying_signatures(self):
    size = self._image_size

    @tf.function(autograph=False, input_signature=[_encoded()])
    def classify(images):
      return self._classes(self._features(self._decoded(images)))

    @tf.function(
      autograph=False,
      input_signature=[
        tf.TensorSpec((None, size, size, 3), tf.float32, "images")
      ],
    )
    def classify_floats(images):
      inside = tf.reduce_all((images >= 0) & (images <= 1))
      with _required(inside, "Expected images with values in [0, 1]"):
        return self._classes(self._features(tf.identity(images)))

    @tf.function(
      autograph=False,
      input_signature=[
        _encoded(),
        tf.TensorSpec((None,), tf.string, "patient_ids"),
      ],
    )
    def classify_patients(images, patient_ids):
      same = tf.equal(tf.size(images), tf.size(patient_ids))
      with _required(same, "Expected as many patient_ids as images"):
        patients, place = tf.unique(tf.identity(patient_ids))
      features = self._features(self._decoded(images))
      count = tf.size(patients)
      chances = self._patients(features, place, count)
      images_of = tf.math.bincount(place, minlength=count, maxlength=count)
      return {
        "patient_ids": patients,
        "num_images": images_of,
        **self._ranked(
          chances, "bag" if self._classifier.pooling else "patient"
        ),
      }

    return {
      DEFAULT: classify,
      IMAGES: classify_floats,
      PATIENTS: classify_patients,
    }

  def _decoded(self, encoded):
    return photometry.to_float(self._to_views(encoded))

  def _classes(self, features):
    if self._classifier.pooling:  # Each image is a bag of one.
      chances = self._classifier.bag_probabilities(features[:, None])
    else:
      chances = self._classifier.probabilities(features)
    level = self._network.run.options.unit
    return {**self._ranked(chances, level), "embedding": features}

  def _ranked(self, chances, level):
    most = min(len(self._network.run.class_names), _MOST_TOP_CLASSES)
    top, places = tf.math.top_k(chances, most)
    names = tf.gather(tf.constant(self._network.run.class_names), places)
    return {
      "probabilities": chances,
      "top_classes": names,
      "top_probabilities": top,
      **self._decided(chances, level),
    }

  def _decided(self, chances, level):
    """Returns 1 for classes that are called, else 0; -1 without a threshold.

    Nothing where the run has no operating points.
    """
    points = self._network.points
    if points is None:
      return {}
    thresholds = points.at(level)
    called = tf.cast(chances, tf.float64) >= thresholds
    undecided = tf.constant(np.isnan(thresholds))
    return {"decisions": tf.where(undecided, -1, tf.cast(called, tf.int32))}

  def _patients(self, features, place, count):
    """Returns probabilities (p, classes) of images (n, f), as evaluation does.

    Args:
      features: float32 (n, f).
      place: int32 (n,), the patient of each image.
      count: int32 (), p.
    """
    if not self._classifier.pooling:
      chances = self._classifier.probabilities(features)
      return tf.math.unsorted_segment_mean(chances, place, count)
    return self._classifier.bag_probabilities(*pad_bags(features, place, count))


def _encoded():
  return tf.TensorSpec((None,), tf.string, "images")


def _required(condition, message):
  """Returns a context whose operations fail, with a message, if not true."""
  check = tf.debugging.Assert(condition, [message])
  return tf.control_dependencies([check])
