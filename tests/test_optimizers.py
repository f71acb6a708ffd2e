"""What decays, and by how much."""

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.optimization import optimizers


@pytest.mark.parametrize("replicas", [1, 2])
def test_adamw_decays_kernels_apart_from_the_gradient(replicas, two_replicas):
  strategy = two_replicas if replicas == 2 else tf.distribute.get_strategy()
  with strategy.scope():
    kernel, bias = tf.Variable([[2.0, -4.0]]), tf.Variable([2.0, -4.0])
    optimizer, l2 = optimizers.make_optimizer(
      "adamw", [kernel, bias], 0.5, momentum=0.9, weight_decay=0.1
    )
  assert l2 == 0

  def step():
    pairs = [(tf.zeros_like(v), v) for v in (kernel, bias)]
    optimizer.apply_gradients(pairs)

  tf.function(lambda: strategy.run(step))()
  np.testing.assert_allclose(kernel.numpy(), [[1.9, -3.8]], rtol=1e-6)
  np.testing.assert_array_equal(bias.numpy(), [2, -4])


def test_another_name_is_an_error():
  with pytest.raises(ValueError, match="sgd"):
    optimizers.make_optimizer("sgd", [], 0.1, momentum=0.9, weight_decay=0.0)
