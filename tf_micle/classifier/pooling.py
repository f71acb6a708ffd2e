"""Bag pooling: the features of a bag's images become one."""

from __future__ import annotations

import tensorflow as tf

MODES = ("mean", "max", "attention")
_ATTENTION_UNITS = 128  # L in Ilse et al., as in their experiments.


class BagPooling(tf.keras.layers.Layer):
  """Mean, maximum, or gated attention over the images of a bag.

  Gated attention (Ilse, Tomczak, Welling 2018, arXiv 1802.04712, equation 9):

    a_i = softmax over i of w (tanh(V h_i) * sigmoid(U h_i))
    bag = sum over i of a_i h_i

  Whatever the order of the images, the result is the same. Bags of several
  sizes fit one batch by a mask; what it leaves out has no influence.

  Attributes:
    mode: one of `MODES`. Only 'attention' has weights.
  """

  def __init__(self, mode: str, **kwargs):
    """Makes the layer; `build` makes its weights.

    Args:
      mode: 'mean', 'max' or 'attention'.
      **kwargs: what every Keras layer takes.

    Raises:
      ValueError: for another mode.
    """
    if mode not in MODES:
      raise ValueError(f"Expected mode in {MODES}. Received: mode={mode!r}")
    super().__init__(dtype="float32", **kwargs)
    self.mode = mode

  def build(self, input_shape):
    """Makes the weights for features of shape `input_shape`, (b, m, f)."""
    if self.mode == "attention":
      width, units = input_shape[-1], _ATTENTION_UNITS
      self.v = self.add_weight("v", (width, units))
      self.u = self.add_weight("u", (width, units))
      self.w = self.add_weight("w", (units, 1))
    super().build(input_shape)

  def call(self, features, mask=None):
    """Pools each bag.

    Args:
      features: float32 (b, m, f).
      mask: bool (b, m), True for the bag's images; None is True for all.

    Returns:
      float32 (b, f); 0 for a bag without images.
    """
    if mask is None:
      mask = tf.ones(tf.shape(features)[:2], tf.bool)
    # First of all, so that not even a NaN passes.
    features = tf.where(mask[..., None], features, 0.0)
    if self.mode == "max":
      lowest = tf.where(mask[..., None], features, features.dtype.min)
      highest = tf.reduce_max(lowest, axis=1)
      return tf.where(tf.reduce_any(mask, axis=1)[:, None], highest, 0.0)
    if self.mode == "mean":
      weights = _mean_weights(mask)
    else:
      weights = self._attention(features, mask)
    return tf.einsum("bm,bmf->bf", weights, features)

  def shares(self, features):
    """Returns how much each image weighs in its bag, float32 (b, m) of sum 1.

    With mode 'max': the share of the features in which it is the highest.

    Args:
      features: float32 (b, m, f), of bags that all have m images.
    """
    mask = tf.ones(tf.shape(features)[:2], tf.bool)
    if self.mode == "mean":
      return _mean_weights(mask)
    if self.mode == "attention":
      return self._attention(features, mask)
    highest = tf.one_hot(tf.argmax(features, axis=1), tf.shape(mask)[1])
    return tf.reduce_mean(highest, axis=1)  # (b, f, m) -> (b, m)

  def _attention(self, features, mask):
    """(b, m, f) -> (b, m), at least 0, of sum 1; 0 where masked."""
    gated = tf.tanh(features @ self.v) * tf.sigmoid(features @ self.u)
    scores = tf.squeeze(gated @ self.w, axis=-1)  # (b, m)
    weights = tf.nn.softmax(tf.where(mask, scores, scores.dtype.min))
    return tf.where(mask, weights, 0.0)


def pad_bags(features, bag_of, count):
  """Lays out images by bag, as `BagPooling` takes them.

  Args:
    features: float32 (n, f), of images in any order.
    bag_of: integers (n,) in [0, count), the bag of each.
    count: of bags; a number or a tensor ().

  Returns:
    float32 (count, m, f), zeros after a bag's last image, m images in the
    largest; and bool (count, m), True for the bag's images.
  """
  bag_of = tf.cast(bag_of, tf.int64)
  order = tf.argsort(bag_of, stable=True)
  bags = tf.RaggedTensor.from_value_rowids(
    tf.gather(features, order),
    tf.gather(bag_of, order),
    nrows=tf.cast(count, tf.int64),
  )
  padded = bags.to_tensor()  # (count, m, f)
  padded = tf.ensure_shape(padded, (None, None, features.shape[-1]))
  return padded, tf.sequence_mask(bags.row_lengths(), tf.shape(padded)[1])


def _mean_weights(mask):
  """1 / images of the bag, float32 (b, m); 0 where masked."""
  weights = tf.cast(mask, tf.float32)
  return tf.math.divide_no_nan(
    weights, tf.reduce_sum(weights, axis=1, keepdims=True)
  )
