"""The fine-tuning step, and what comes out at inference."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from tf_micle.classifier import supervised
from tf_micle.classifier.build import build_classifier
from tf_micle.evaluation import calibration
from tf_micle.views import photometry

WORDS = {"num_classes": 3, "steps_per_epoch": 10, "train_steps": 10}


def build(task="multi_class", class_weights=None, **changes):
  options = tiny.finetune_options(
    class_weights="none" if class_weights is None else "balanced", **changes
  )
  return build_classifier(
    options, task=task, class_weights=class_weights, **WORDS
  )


def batch(b=4, views=1, task="multi_class", seed=0):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (b, views, 16, 16, 3), np.uint8)
  if task == "multi_class":
    labels = {"label": rng.integers(-1, 3, (b, 1))}
  else:
    values = rng.choice([0, 1, -1, np.nan], (b, 1, 3)).astype(np.float32)
    labels = {"labels": values}
  name, values = labels.popitem()
  return {
    "views": tf.constant(images),
    "patient_key": tf.range(b, dtype=tf.int64),
    name: tf.constant(np.repeat(values, views, axis=1)),
  }


def fit(model, batch):
  history = model.fit(tf.data.Dataset.from_tensors(batch), verbose=0)
  return {name: values[-1] for name, values in history.history.items()}


def weights(model):
  return [w.numpy() for w in model.trainable_variables]


TASKS = [
  {"task": "multi_class", "unit": "image"},
  {
    "task": "multi_label",
    "unit": "bag",
    "uncertain": "ones",
    "class_weights": np.array([[1, 2, 3], [3, 2, 1]], np.float32),
    "focal_gamma": 2.0,
    "ft_proj_selector": 1,
    "fine_tune_after_block": 3,
  },
]


@pytest.mark.parametrize("words", TASKS, ids=["image", "frozen_bag"])
def test_two_replicas_step_as_one(words, two_replicas):
  """Loss, BatchNorm, photometry, update: all of the global batch."""
  one, _ = build(**words)
  with two_replicas.scope():
    two, _ = build(**words)
  start = weights(one)
  data = batch(8, views=2 if words["unit"] == "bag" else 1, task=words["task"])
  alone, together = fit(one, data), fit(two, data)
  assert set(alone) == {"loss", "supervised_loss", "accuracy", "learning_rate"}
  for name, value in alone.items():
    assert together[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
  for before, a, b in zip(start, weights(one), weights(two)):
    moved = np.abs(a - before).max()
    np.testing.assert_allclose(b, a, atol=0.01 * moved + 1e-7)


@pytest.mark.parametrize("words", TASKS, ids=["image", "frozen_bag"])
def test_the_loss_is_the_mean_over_known_labels(words):
  """By hand from the parts; a bag's images are pooled, its label used once."""
  model, parts = build(**words, weight_decay=0.0)
  bag = words["unit"] == "bag"
  data = batch(4, views=2 if bag else 1, task=words["task"])
  images = tf.concat(tf.unstack(model.see(data["views"], 0)), axis=0)
  rows = parts["encoder"](images, training=True)["final_avg_pool"]
  if bag:
    _, hiddens = parts["projection_head"](rows, training=True)
    rows = parts["pooling"](tf.stack(tf.split(hiddens[1], 4)))
    labels = data["labels"][:, 0]
    labels = tf.where(labels == -1, 1.0, labels)
  else:
    labels = data["label"][:, 0]
  losses, known = supervised.masked_loss(
    parts["head"](rows),
    labels,
    focal_gamma=words.get("focal_gamma", 0.0),
    class_weights=words.get("class_weights"),
  )
  expected = losses.numpy().sum() / known.numpy().sum()
  assert 0 < known.numpy().sum() < known.numpy().size
  values = model.train_step(data)
  assert float(values["supervised_loss"]) == pytest.approx(expected, rel=1e-4)
  assert float(values["loss"]) == pytest.approx(expected, rel=1e-4)


def test_unknown_labels_teach_nothing():
  model, _ = build(weight_decay=0.0)
  before = weights(model)
  data = {**batch(), "label": tf.fill((4, 1), tf.constant(-1, tf.int64))}
  values = fit(model, data)
  assert values["loss"] == values["accuracy"] == 0
  assert all(map(np.array_equal, before, weights(model)))


def test_accuracy_counts_known_labels_only():
  model, parts = build(zero_init_logits_layer=True)
  parts["head"].bias.assign([0.0, 1.0, 0.0])  # It says class 1.
  labels = tf.constant([[1], [-1], [0], [1]], tf.int64)
  values = fit(model, {**batch(), "label": labels})
  assert values["accuracy"] == pytest.approx(2 / 3)


def test_l2_is_of_what_is_trained():
  model, parts = build(fine_tune_after_block=4, weight_decay=0.5)
  penalty = 0.25 * np.sum(parts["head"].kernel.numpy() ** 2)
  values = fit(model, batch())
  extra = values["loss"] - values["supervised_loss"]
  assert extra == pytest.approx(penalty, rel=1e-3)


def test_predict_returns_plain_features_under_any_strategy(two_replicas):
  one, parts = build(ft_proj_selector=1)
  with two_replicas.scope():
    two, _ = build(ft_proj_selector=1)
  views = batch(5)["views"]
  images = photometry.to_float(views[:, 0])
  h = parts["encoder"](images, training=False)["final_avg_pool"]
  expected = parts["projection_head"](h, training=False)[1][1]
  # Two graphs of one computation: a processor may sum in another order.
  found = one.features(views[:, 0])
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
  data = tf.data.Dataset.from_tensor_slices({"views": views}).batch(2)
  for model in (one, two):  # The last batch is of one image.
    features = model.predict(data, verbose=0)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-5)


def test_no_replica_is_asked_about_an_empty_batch(two_replicas, monkeypatch):
  """The second one's last batch has no image, on every processor."""
  with two_replicas.scope():
    model, parts = build()
  encoder, asked = parts["encoder"], []

  def not_empty(images, training=None):
    asked.append(images.shape)
    some = tf.debugging.assert_positive(tf.shape(images)[0])
    with tf.control_dependencies([some]):
      return encoder(images, training=training)

  monkeypatch.setattr(model, "encoder", not_empty)
  views = batch(5)["views"]
  data = tf.data.Dataset.from_tensor_slices({"views": views}).batch(2)
  assert len(model.predict(data, verbose=0)) == 5
  assert asked


@pytest.mark.parametrize("task", ["multi_class", "multi_label"])
def test_probabilities(task):
  model, parts = build(task=task, unit="bag", bag_pooling="mean")
  parts["head"].bias.assign([1.0, 0.0, -1.0])
  width = parts["head"].kernel.shape[0]
  features = np.random.default_rng(0).normal(size=(4, 3, width))
  features = features.astype(np.float32)
  rows = features[:, 0]
  logits = rows @ parts["head"].kernel.numpy() + [1, 0, -1]
  if task == "multi_class":
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  else:
    expected = 1 / (1 + np.exp(-logits))
  np.testing.assert_allclose(model.probabilities(rows), expected, rtol=1e-4)
  mask = np.array([[1, 0, 1]] * 4, bool)
  np.testing.assert_allclose(
    model.bag_probabilities(features, mask),
    model.probabilities((features[:, 0] + features[:, 2]) / 2),
    rtol=1e-5,
  )
  # Calibrated as evaluation fits it, from probabilities alone.
  fitted = {"scale": [0.5, 0.5, 0.5], "shift": [0.0, 0.0, 0.0]}
  if task == "multi_label":
    fitted = {"scale": [0.5, 1.0, 2.0], "shift": [0.1, 0.0, -0.3]}
  raw = model.probabilities(rows).numpy().astype(np.float64)
  model.calibrate(**fitted)
  np.testing.assert_allclose(
    model.probabilities(rows),
    calibration.apply(fitted, raw, task),
    rtol=1e-4,
  )


def test_another_task_is_an_error():
  with pytest.raises(ValueError, match="regression"):
    build(task="regression")


def test_the_step_compiles_under_xla():
  """What a TPU would be given: static shapes, no host transforms."""
  words = TASKS[1]
  model, _ = build(**words)
  data = batch(views=2, task=words["task"])
  compiled = tf.function(model.train_step, jit_compile=True)
  values = compiled(data)
  plain, _ = build(**words)
  expected = plain.train_step(data)
  assert float(values["loss"]) == pytest.approx(
    float(expected["loss"]), rel=1e-4
  )
