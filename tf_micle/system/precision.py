"""Mixed-precision policy of the encoder, chosen when the run starts.

Weights, their updates, BatchNorm's statistics, projections and the loss are
float32 in every case (Micikevicius et al. 2018, arXiv 1710.03740, section 3).
"""

from __future__ import annotations

import pathlib
import re

import tensorflow as tf

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
# The first generation of GPUs with bfloat16 units (Ampere).
_BFLOAT16_GPU = (8, 0)
_BFLOAT16_CPU = re.compile(r"\b(avx512_bf16|amx_bf16)\b")


def choose(name, strategy):
  """Returns the precision to compute in, and why, in a few words.

  'auto' takes bfloat16 where the device has units for it, and float32
  elsewhere. It never takes float16, which is as fast on a GPU that has both but
  overflows: steps are then skipped.

  Args:
    name: one of `PRECISIONS`.
    strategy: `tf.distribute.Strategy` of the run.

  Returns:
    One of `PRECISIONS` but 'auto', and a str.

  Raises:
    ValueError: for another name.
  """
  if name not in PRECISIONS:
    raise ValueError(
      f"Expected precision in {PRECISIONS}. Received: precision={name!r}"
    )
  if name != "auto":
    return name, "as asked for"
  if isinstance(strategy, tf.distribute.TPUStrategy):
    return "bfloat16", "a TPU has units for it"
  gpus = tf.config.list_physical_devices("GPU")
  if gpus:
    oldest = min(map(_compute_capability, gpus))
    what = f"compute capability {oldest[0]}.{oldest[1]}"
    return ("bfloat16" if oldest >= _BFLOAT16_GPU else "float32"), what
  if _BFLOAT16_CPU.search(_cpu_flags()):
    return "bfloat16", "the CPU has units for it"
  return "float32", "the CPU has no units for less"


def policy(name):
  """Returns the name of Keras's policy for a precision that `choose` named."""
  return name if name == "float32" else f"mixed_{name}"


def _compute_capability(gpu):
  """Returns the (major, minor) of a GPU; (0, 0) where it does not say."""
  details = tf.config.experimental.get_device_details(gpu)
  return tuple(details.get("compute_capability") or (0, 0))


def _cpu_flags():
  """Returns what the CPU can do, as Linux lists it; '' elsewhere."""
  path = pathlib.Path("/proc/cpuinfo")
  return path.read_text(encoding="utf-8") if path.exists() else ""
