"""Distribution strategy of a run, chosen when it starts."""

from __future__ import annotations

import functools
import os

import tensorflow as tf

from tf_micle.system import system_faults, tf_config, workers
from tf_micle.system.input_error import InputError
from tf_micle.system.plurals import counted

STRATEGIES = ("auto", "tpu", "mirrored", "multi_worker", "one_device")


def choose(name="auto", *, tpu_name=None):
  """Returns the `tf.distribute.Strategy` to run under.

  'auto' takes a TPU when one is named (`tpu_name` or the environment's
  TPU_NAME), else several workers when TF_CONFIG names them, else every GPU,
  else one device. 'mirrored' takes every logical GPU, or every logical CPU
  where there is no GPU.

  Args:
    name: one of `STRATEGIES`.
    tpu_name: the TPU's name or address, 'local' for a TPU VM, or None.

  Raises:
    InputError: when what was asked for is not there.
    ValueError: for another name.
  """
  if name not in STRATEGIES:
    raise ValueError(
      f"Expected strategy in {STRATEGIES}. Received: strategy={name!r}"
    )
  if name == "auto":
    name = _what_is_there(tpu_name)
  if name == "tpu":
    return _tpu(tpu_name)
  if name == "multi_worker":
    if not tf_config.num_workers():
      raise InputError(
        "Expected TF_CONFIG to name the workers of strategy=multi_worker. "
        f"Received: TF_CONFIG={os.environ.get('TF_CONFIG')!r}"
      )
    # It tells of each collective operation, hundreds in a step.
    tf.get_logger().setLevel("WARNING")
    return tf.distribute.MultiWorkerMirroredStrategy()
  gpus = tf.config.list_logical_devices("GPU")
  devices = [d.name for d in gpus or tf.config.list_logical_devices("CPU")]
  if name == "mirrored":
    return _mirrored(tuple(devices))
  return tf.distribute.OneDeviceStrategy(devices[0])


def input_hosts(strategy):
  """Returns how many hosts read the training data for a strategy."""
  if isinstance(strategy, tf.distribute.TPUStrategy):
    return strategy.extended.num_hosts  # One process, a host for each 8 cores.
  return workers.count(strategy)


def describe(strategy):
  """Returns one line on `strategy` for the log and `provenance.json`."""
  kind = type(strategy).__name__.replace("V1", "")
  if workers.count(strategy) > 1:
    kind = f"MultiWorkerMirroredStrategy, {workers.count(strategy)} workers"
  gpus = tf.config.list_physical_devices("GPU")
  device = "CPU"
  if isinstance(strategy, tf.distribute.TPUStrategy):
    device = "TPU"
  elif gpus:
    details = tf.config.experimental.get_device_details(gpus[0])
    device = details.get("device_name", "GPU")
  return f"{kind}, {strategy.num_replicas_in_sync} x {device}"


def batch_problems(strategy, *, batch_size, micro_batch_size, read_parts):
  """Yields a line for what of a global batch does not go with the devices.

  Args:
    strategy: `tf.distribute.Strategy` of the run.
    batch_size: the value of --train_batch_size.
    micro_batch_size: that of --micro_batch_size, or None.
    read_parts: that of --read_parts, or None.
  """
  replicas, hosts = strategy.num_replicas_in_sync, input_hosts(strategy)
  batch = f"--train_batch_size={batch_size}"
  if batch_size % replicas:
    yield (
      f"Expected --train_batch_size, a multiple of {replicas}, the number of "
      f"devices. Received: {batch}"
    )
  if read_parts and read_parts > 1 and read_parts % hosts:
    yield (
      f"Expected --read_parts to be 1 or a multiple of the {hosts} workers. "
      f"Received: --read_parts={read_parts}"
    )
  if read_parts and batch_size % read_parts:
    yield (
      "Expected --train_batch_size to be a multiple of --read_parts. Received: "
      f"{batch}, --read_parts={read_parts}"
    )
  if micro_batch_size and batch_size % (replicas * micro_batch_size):
    yield (
      f"Expected --micro_batch_size to divide a device's share of {batch} on "
      f"{counted(replicas, 'device')}. Received: --micro_batch_size="
      f"{micro_batch_size}"
    )


def _what_is_there(tpu_name):
  if (
    tpu_name
    or os.environ.get("TPU_NAME")
    or tf.config.list_physical_devices("TPU")
  ):
    return "tpu"
  if tf_config.num_workers() > 1:
    return "multi_worker"
  if len(tf.config.list_logical_devices("GPU")) > 1:
    return "mirrored"
  return "one_device"


@functools.cache
def _mirrored(devices):
  """Returns one strategy a process, however often it is asked for.

  TensorFlow numbers collectives from 100 up in every strategy, and takes those
  of a second one for the first one's (its issue 62790).
  """
  return tf.distribute.MirroredStrategy(devices)


def _tpu(tpu_name):
  name = tpu_name or os.environ.get("TPU_NAME") or "local"
  try:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
  # An address that cannot be looked up is an `OSError`.
  except (ValueError, OSError, tf.errors.OpError) as error:
    raise InputError(
      f"Expected a TPU at {name!r} (--tpu_name). Received: "
      f"{system_faults.first_line(error)}"
    ) from error
  return tf.distribute.TPUStrategy(resolver)
