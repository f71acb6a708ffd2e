"""LARS optimiser: momentum SGD with a trust ratio for every kernel."""

from __future__ import annotations

import tensorflow as tf


@tf.keras.utils.register_keras_serializable("tf_micle")
class LARS(tf.keras.optimizers.Optimizer):
  """Layer-wise adaptive rate scaling (You et al. 2017), as SimCLR uses it.

  For a kernel w (rank > 1) with gradient g:

    g <- g + weight_decay * w                 coupled: inside trust ratio and
    ratio = trust * ||w|| / ||g||             momentum; 1 where a norm is 0
    v <- momentum * v + learning_rate * ratio * g
    w <- w - v        (Nesterov: w - (momentum * v + learning_rate * ratio * g))

  Variables of rank 0 or 1 (biases, normalisation's scale and offset) have
  neither decay nor ratio. The rule is the variable's structure, so it holds
  after a reload, whatever the names are.
  """

  def __init__(
    self,
    learning_rate=0.3,
    momentum=0.9,
    weight_decay=0.0,
    trust_coefficient=0.001,
    nesterov=False,
    name="LARS",
    **kwargs,
  ):
    """Makes the optimiser.

    Args:
      learning_rate: float or `LearningRateSchedule`, > 0.
      momentum: in [0, 1).
      weight_decay: >= 0, the coefficient of w that is added to g.
      trust_coefficient: > 0, eta in the paper (section 4).
      nesterov: whether to look ahead.
      name: the optimiser's name.
      **kwargs: what every Keras optimiser takes.

    Raises:
      ValueError: for a number outside its range.
    """
    if not 0 <= momentum < 1:
      raise ValueError(
        f"Expected momentum in [0, 1). Received: momentum={momentum}"
      )
    if weight_decay < 0:
      raise ValueError(
        f"Expected weight_decay >= 0. Received: weight_decay={weight_decay}"
      )
    # Keras's own weight_decay is the decoupled one: it stays off.
    super().__init__(name=name, **kwargs)
    self._learning_rate = self._build_learning_rate(learning_rate)
    self.momentum = momentum
    self.coupled_weight_decay = weight_decay
    self.trust_coefficient = trust_coefficient
    self.nesterov = nesterov

  def build(self, var_list):
    """Makes one velocity a variable, of its shape and dtype."""
    super().build(var_list)
    if getattr(self, "_built", False):
      return
    self._velocities = [
      self.add_variable_from_reference(v, "velocity") for v in var_list
    ]
    self._built = True

  def update_step(self, gradient, variable):
    """Updates `variable` in place from a dense `gradient` of its shape."""
    gradient = tf.convert_to_tensor(gradient)
    rate = tf.cast(self.learning_rate, variable.dtype)
    velocity = self._velocities[self._index_dict[self._var_key(variable)]]
    if variable.shape.rank > 1:
      gradient += self.coupled_weight_decay * variable
      rate = rate * self._trust_ratio(gradient, variable)
    step = rate * gradient
    velocity.assign(self.momentum * velocity + step)
    if self.nesterov:
      variable.assign_sub(self.momentum * velocity + step)
    else:
      variable.assign_sub(velocity)

  def _trust_ratio(self, gradient, variable):
    w_norm, g_norm = tf.norm(variable), tf.norm(gradient)
    return tf.where(
      (w_norm > 0) & (g_norm > 0),
      tf.math.divide_no_nan(self.trust_coefficient * w_norm, g_norm),
      1.0,
    )

  def get_config(self):
    """Returns what `from_config` needs to make this optimiser again."""
    config = super().get_config()
    config.update(
      learning_rate=self._serialize_hyperparameter(self._learning_rate),
      momentum=self.momentum,
      weight_decay=self.coupled_weight_decay,
      trust_coefficient=self.trust_coefficient,
      nesterov=self.nesterov,
    )
    return config
