"""Cluster of workers as TF_CONFIG names it; does not import TensorFlow."""

from __future__ import annotations

import json
import os

from tf_micle.system.input_error import InputError


def read():
  """Returns TF_CONFIG, a dict; {} where it is not set.

  Raises:
    InputError: if it is not a JSON object.
  """
  text = os.environ.get("TF_CONFIG") or "{}"
  try:
    config = json.loads(text)
  except ValueError:
    config = None
  if not isinstance(config, dict):
    raise InputError(f"Expected TF_CONFIG, a JSON object. Received: {text!r}")
  return config


def num_workers():
  """Returns how many workers TF_CONFIG names; 0 where it is not set."""
  cluster = read().get("cluster", {})
  return len(cluster.get("worker", ())) + len(cluster.get("chief", ()))
