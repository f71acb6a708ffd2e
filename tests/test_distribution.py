"""Which strategy is chosen, from what is there and what is asked for."""

import json
import os
import subprocess
import sys
import types

import pytest
import tensorflow as tf

from tf_micle.system import distribution


class FakeResolver:
  """Stands for a TPU that answers, up to where real hardware is needed."""

  def __init__(self, tpu):
    self.tpu = tpu


@pytest.fixture
def tpu(monkeypatch):
  """A TPU that connects; the strategy made on it is a tuple with its name."""
  for owner, name, fake in [
    (tf.distribute.cluster_resolver, "TPUClusterResolver", FakeResolver),
    (tf.config, "experimental_connect_to_cluster", lambda resolver: None),
    (tf.tpu.experimental, "initialize_tpu_system", lambda resolver: None),
    (tf.distribute, "TPUStrategy", lambda resolver: ("TPU", resolver.tpu)),
  ]:
    monkeypatch.setattr(owner, name, fake)


def test_a_named_tpu_is_taken(tpu, monkeypatch):
  assert distribution.choose("auto", tpu_name="pod") == ("TPU", "pod")
  monkeypatch.setenv("TPU_NAME", "other")
  assert distribution.choose("auto") == ("TPU", "other")
  monkeypatch.delenv("TPU_NAME")
  assert distribution.choose("tpu") == ("TPU", "local")


def test_every_host_of_a_tpu_reads(monkeypatch):
  class FakeTPU:
    extended = types.SimpleNamespace(num_hosts=4)

  monkeypatch.setattr(tf.distribute, "TPUStrategy", FakeTPU)
  assert distribution.input_hosts(FakeTPU()) == 4
  one = tf.distribute.OneDeviceStrategy("CPU:0")
  assert distribution.input_hosts(one) == 1


def test_a_tpu_that_is_not_there_is_said():
  with pytest.raises(ValueError, match="Expected a TPU"):
    distribution.choose("tpu")


@pytest.mark.parametrize(
  ("batch", "micro", "parts", "said"),
  [
    (8, None, None, []),
    (8, 2, 4, []),
    (9, None, None, ["multiple of 2, the number of devices. Received"]),
    (8, 3, None, ["--micro_batch_size=3"]),
    (8, None, 6, ["multiple of --read_parts"]),
    (8, None, 3, ["the 2 workers", "multiple of --read_parts"]),
    (8, None, 1, []),
  ],
)
def test_what_of_a_batch_does_not_go_with_the_devices(
  batch, micro, parts, said, monkeypatch
):
  monkeypatch.setattr(distribution, "input_hosts", lambda strategy: 2)
  found = distribution.batch_problems(
    types.SimpleNamespace(num_replicas_in_sync=2),
    batch_size=batch,
    micro_batch_size=micro,
    read_parts=parts,
  )
  for line, words in zip(list(found), said, strict=True):
    assert words in line


def test_without_accelerators_auto_is_one_device():
  strategy = distribution.choose("auto")
  assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
  assert "1 x CPU" in distribution.describe(strategy)


def test_several_gpus_are_mirrored(monkeypatch):
  def two_gpus(kind=None):
    names = ["GPU:0", "GPU:1"] if kind == "GPU" else []
    return [types.SimpleNamespace(name=name) for name in names]

  monkeypatch.setattr(tf.config, "list_logical_devices", two_gpus)
  monkeypatch.setattr(distribution, "_mirrored", lambda devices: devices)
  assert distribution.choose("auto") == ("GPU:0", "GPU:1")


def test_mirrored_takes_all_devices_and_is_one_a_process(two_replicas):
  assert two_replicas.num_replicas_in_sync == 2
  assert distribution.choose("mirrored") is two_replicas


def test_multi_worker_without_workers_is_said(monkeypatch):
  monkeypatch.delenv("TF_CONFIG", raising=False)
  with pytest.raises(ValueError, match="TF_CONFIG"):
    distribution.choose("multi_worker")
  with pytest.raises(ValueError, match="Expected strategy"):
    distribution.choose("two")


def test_tf_config_chooses_multi_worker():
  """In a process of its own: it must come before any other operation."""
  config = {
    "cluster": {"worker": ["127.0.0.1:0", "127.0.0.1:1"]},
    "task": {"type": "worker", "index": 0},
  }
  program = (
    "import tensorflow as tf; from tf_micle.system import distribution;"
    "tf.distribute.MultiWorkerMirroredStrategy = lambda: 'workers';"
    "print(distribution.choose('auto'))"
  )
  done = subprocess.run(
    [sys.executable, "-c", program],
    env={**os.environ, "TF_CONFIG": json.dumps(config)},
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.strip() == "workers"
