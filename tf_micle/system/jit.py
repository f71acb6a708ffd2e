"""Compilation of the training step by XLA, chosen when the run starts."""

from __future__ import annotations

import tensorflow as tf

from tf_micle.system.input_error import InputError

CHOICES = ("auto", "on", "off")


def choose(name, strategy):
  """Returns 'on' or 'off'.

  A TPU compiles every step in any case. Several devices are not compiled for:
  what they send each other is no part of XLA's graph in TensorFlow's
  strategies.

  Args:
    name: one of `CHOICES`; 'auto' is on with one GPU, and off on the CPU.
    strategy: `tf.distribute.Strategy` of the run; None where it has none.

  Raises:
    InputError: for 'on' with several devices.
  """
  if isinstance(strategy, tf.distribute.TPUStrategy):
    return "off"
  devices = strategy.num_replicas_in_sync if strategy else 1
  if name == "on" and devices > 1:
    raise InputError(
      "Expected --jit=auto or off where several devices train together. "
      f"Received: --jit=on with {devices}"
    )
  if name != "auto":
    return name
  one_gpu = devices == 1 and tf.config.list_physical_devices("GPU")
  return "on" if one_gpu else "off"
