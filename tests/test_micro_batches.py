"""Micro-batches against a step on the whole batch."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from tf_micle.contrastive import model as contrastive_model
from tf_micle.contrastive.build import build_contrastive_model
from tf_micle.encoder import heads
from tf_micle.encoder.build import seed_initialisers
from tf_micle.views import view_batch
from tf_micle.views.photometry_options import PhotometryOptions

WORDS = {"steps_per_epoch": 10, "train_steps": 10}
BATCH, SIZE = 8, 16


def batch(seed=0, views=2):
  draw = np.random.default_rng(seed)
  pixels = draw.integers(0, 256, (BATCH, views, SIZE, SIZE, 3), np.uint8)
  return {
    "views": tf.constant(pixels),
    "patient_key": tf.range(BATCH, dtype=tf.int64) // 3,
    "label": tf.constant(draw.integers(-1, 3, (BATCH, views))),
  }


def without_batch_norm(micro_batch_size, **changes):
  """A model in which an image's embedding depends on no other image."""
  seed_initialisers(1)
  images = tf.keras.Input((SIZE, SIZE, 3))
  hidden = tf.keras.layers.Conv2D(6, 3, 2, activation="relu")(images)
  pooled = tf.keras.layers.GlobalAveragePooling2D()(hidden)
  features = tf.keras.layers.Dense(5, activation="tanh")(pooled)
  encoder = tf.keras.Model(images, {"final_avg_pool": features})
  head = heads.projection_head(5, mode="none")
  probe = heads.linear_head(3)
  probe.build((None, 5))
  model = contrastive_model.ContrastiveModel(
    encoder,
    head,
    photometry_options=PhotometryOptions(0.5),
    temperature=0.1,
    probe=probe,
    micro_batch_size=micro_batch_size,
    **changes,
  )
  # The update is then the gradient.
  model.compile(tf.keras.optimizers.SGD(1.0), tf.keras.optimizers.SGD(1.0))
  return model


def update(model, views=2, **options):
  """Returns the values of a step and what it changed."""
  before = [w.numpy() for w in model.trainable_variables]
  step = tf.function(model.train_step, autograph=False, **options)
  values = step(batch(views=views))
  after = [w.numpy() for w in model.trainable_variables]
  return values, [a - b for a, b in zip(after, before)]


@pytest.mark.parametrize(
  ("size", "views", "objective"),
  [
    *((size, 2, {}) for size in (1, 2, 4, 8)),
    (2, 3, {"mask_same_patient": True}),
  ],
)
def test_the_gradient_is_that_of_the_plain_step(size, views, objective):
  plain, expected = update(without_batch_norm(None, l2=0.1, **objective), views)
  values, found = update(without_batch_norm(size, l2=0.1, **objective), views)
  for name, value in plain.items():
    np.testing.assert_allclose(values[name], value, rtol=1e-5, err_msg=name)
  for a, b in zip(expected, found):
    np.testing.assert_allclose(b, a, atol=1e-5)


def test_two_replicas_step_as_one(two_replicas):
  one = without_batch_norm(2)
  with two_replicas.scope():
    two = without_batch_norm(2)
  data = tf.data.Dataset.from_tensors(batch()).unbatch().batch(BATCH)
  values = [m.fit(data, verbose=0).history for m in (one, two)]
  for name, value in values[0].items():
    np.testing.assert_allclose(values[1][name], value, rtol=1e-4)
  for a, b in zip(one.trainable_variables, two.trainable_variables):
    np.testing.assert_allclose(b, a, atol=1e-5)


def test_with_batch_norm_it_is_the_loss_of_embeddings_made_in_parts():
  """The oracle keeps all activations, and takes one gradient through all."""
  size = 4
  options = tiny.options(optimizer="momentum", learning_rate=1.0)
  oracle, _ = build_contrastive_model(options, **WORDS)
  model, _ = build_contrastive_model(
    tiny.options(
      optimizer="momentum", learning_rate=1.0, micro_batch_size=size
    ),
    **WORDS,
  )
  trained = [*oracle.encoder.trainable_variables]
  trained += oracle.projection_head.trainable_variables
  seen = oracle.see(batch()["views"], 0)
  with tf.GradientTape() as tape:
    parts = [
      oracle._embed(view_batch.merge(seen[first : first + size]))
      for first in range(0, BATCH, size)
    ]
    z, h = (tf.concat(part, 0) for part in zip(*parts))
    share, _ = oracle._share(z, h, batch(), trained)
  gradients = tape.gradient(share, trained)
  values, of_probe, _ = tf.function(model._in_parts, autograph=False)(
    batch(),
    model.encoder.trainable_variables
    + model.projection_head.trainable_variables,
  )
  assert of_probe == []
  for expected, found in zip(gradients, values):
    scale = np.abs(expected).max() + 1e-6
    np.testing.assert_allclose(found, expected, atol=1e-4 * scale)
  # Statistics move once a micro-batch, though each is embedded twice.
  pairs = zip(
    oracle.encoder.non_trainable_variables,
    model.encoder.non_trainable_variables,
  )
  for expected, found in pairs:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_it_compiles_under_xla():
  _, expected = update(without_batch_norm(None))
  _, found = update(without_batch_norm(2), jit_compile=True)
  for a, b in zip(expected, found):
    np.testing.assert_allclose(b, a, atol=1e-4)
