"""Progress bar of a training run."""

from __future__ import annotations

import sys

import tensorflow as tf
import tqdm


class ProgressBar(tf.keras.callbacks.Callback):
  """Shows images a second, time left, step and loss."""

  def __init__(self, *, first_step, last_step, images_per_step):
    """Makes the bar; `images_per_step` counts a global batch's views."""
    super().__init__()
    self._first_step = first_step
    self._last_step = last_step
    self._images_per_step = images_per_step
    self._bar = None

  def on_train_begin(self, logs=None):
    self._bar = tqdm.tqdm(
      total=self._last_step * self._images_per_step,
      initial=self._first_step * self._images_per_step,
      unit=" images",
      unit_scale=True,
      # A log file gets a line now and then, a terminal a moving bar.
      mininterval=0.5 if sys.stderr.isatty() else 15,
    )

  def on_train_batch_end(self, batch, logs=None):
    step = self._first_step + batch + 1
    self._bar.set_postfix_str(
      f"step {step}/{self._last_step}, loss {logs['loss']:.3f}", refresh=False
    )
    self._bar.update(self._images_per_step)

  def on_train_end(self, logs=None):
    self.close()

  def close(self):
    """Leaves the bar as it stands; needed where training raises."""
    if self._bar is not None:
      self._bar.close()
