"""Grad-CAM heat maps of a classifier, and weights that know nothing."""

from __future__ import annotations

import contextlib

import numpy as np
import tensorflow as tf

from tf_micle.views import photometry


def grad_cam(classifier, images, class_, bag=None):
  """Returns how much each place of images raises the logit of a class.

  Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2) on the
  last block: the ReLU of the sum of its feature maps, each times the mean
  gradient of the logit by it. Under average pooling and a linear head it is
  the class activation map (Zhou et al. 2016, arXiv 1512.04150), over h' w'.

  Args:
    classifier: `model.Classifier`.
    images: uint8 (n, h, w, 3).
    class_: of the logit; an int, or those of the images, ints (n,).
    bag: None: each image is asked about alone. Else the images are of one bag,
      and these are the features of its others, float32 (m, f), m >= 0.

  Returns:
    float32 (n, h', w'), at least 0.
  """
  points = classifier.encoder(photometry.to_float(images), training=False)
  activations = points["block_group4"]  # (n, h', w', c)
  with tf.GradientTape(watch_accessed_variables=False) as tape:
    tape.watch(activations)
    # The encoder's own last step, so that the encoder needs no backward pass.
    pooled = tf.reduce_mean(activations, axis=(1, 2))
    features = classifier.projected(pooled, training=False)
    if bag is not None:
      features = classifier.pooling(tf.concat([features, bag], axis=0)[None])
    elif classifier.pooling:
      features = classifier.pooling(features[:, None])
    logits = classifier.logits(features)
    logit = tf.reduce_sum(logits * tf.one_hot(class_, logits.shape[-1]))
  gradient = tape.gradient(logit, activations)
  weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
  return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1)).numpy()


@contextlib.contextmanager
def random_weights(classifier, seed):
  """Gives a network random weights, and on leaving its own back.

  Kernels are normal, of variance 2 / fan in (He et al. 2015, arXiv 1502.01852);
  biases are 0, and BatchNorm changes nothing.

  Args:
    classifier: `model.Classifier`.
    seed: of the weights; whatever NumPy takes.
  """
  rng = np.random.default_rng(seed)
  ones = {
    variable.ref()
    for layer in classifier.submodules
    if isinstance(layer, tf.keras.layers.BatchNormalization)
    for variable in (layer.gamma, layer.moving_variance)
  }
  own = classifier.get_weights()
  try:
    classifier.set_weights(
      [
        rng.standard_normal(v.shape, np.float32)
        * np.sqrt(2 / np.prod(v.shape[:-1]))
        if v.shape.rank > 1
        else np.full(v.shape, v.ref() in ones)
        for v in classifier.weights
      ]
    )
    yield
  finally:
    classifier.set_weights(own)
