"""Lines of Keras that tell a user nothing are left out, others are not."""

import logging
import time

import tensorflow as tf

from tf_micle.system import log_noise


class Slow(tf.keras.callbacks.Callback):
  def on_train_batch_begin(self, batch, logs=None):
    time.sleep(0.2)

  def on_train_batch_end(self, batch, logs=None):
    time.sleep(0.2)


def fit():
  model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
  model.compile("sgd", "mse", run_eagerly=True)
  model.fit(tf.zeros((6, 1)), tf.zeros(6), 1, verbose=0, callbacks=[Slow()])


def test_a_slow_end_of_a_step_is_not_warned_of(caplog):
  with log_noise.without(log_noise.SLOW_CALLBACK):
    fit()
  assert "`on_train_batch_end` is slow" not in caplog.text
  assert "`on_train_batch_begin` is slow" in caplog.text
  caplog.clear()
  fit()
  assert "`on_train_batch_end` is slow" in caplog.text


def test_other_lines_stay(caplog):
  with log_noise.without(log_noise.EXPORT), caplog.at_level(logging.INFO):
    logging.getLogger("absl").info("Writing %s.", "SERVING/1")
    logging.getLogger("absl").info("Writing fingerprint to %s", "x")
  assert caplog.messages == ["Writing SERVING/1."]
