"""Several devices, and several processes, train as one device does."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny

import run
from tf_micle.runs import run_log

ROOT = pathlib.Path(__file__).parent.parent
STEPS = 20
# Narrower networks and higher rates amplify the last bit of a float to 1e-4
# within a few steps.
FLAGS = {
  **{"use_micle": True, "train_steps": STEPS, "log_steps": 1},
  # Gathers what is no output of the network, too.
  "mask_same_patient": True,
  **{"read_parts": 2, "checkpoint_steps": 10},
  **{"train_batch_size": 8, "temperature": 0.5, "width_multiplier": 0.25},
  **{"optimizer": "momentum", "learning_rate": 0.0001},
  # Several batches, the last of which some devices have no image of.
  **{"health_checks": True, "eval_batch_size": 4},
}


def start(worker, ports, **flags):
  """Starts one worker of a cluster on this machine."""
  arguments = {**tiny.FLAGS, **FLAGS, **flags}
  config = {
    "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
    "task": {"type": "worker", "index": worker},
  }
  return subprocess.Popen(
    [
      sys.executable,
      str(ROOT / "run.py"),
      *(f"--{name}={value}" for name, value in arguments.items()),
    ],
    env={**os.environ, "TF_CONFIG": json.dumps(config)},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def free_ports(count):
  """Ports that were free a moment ago."""
  sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
  ports = [one.getsockname()[1] for one in sockets]
  for one in sockets:
    one.close()
  return ports


def run_workers(meanwhile=lambda workers: None, **flags):
  """Runs two workers to their end; returns their statuses and what they say."""
  ports = free_ports(2)
  workers = [start(worker, ports, **flags) for worker in range(2)]
  try:
    meanwhile(workers)
    said = [worker.communicate(timeout=300)[0] for worker in workers]
  finally:
    for worker in workers:
      worker.kill()
  return [worker.returncode for worker in workers], said


@pytest.fixture(scope="module")
def one_device(demo_records, tmp_path_factory):
  """The log of a run on one device."""
  folder = tmp_path_factory.mktemp("one")
  flags = {**FLAGS, "data_dir": demo_records}
  assert tiny.command(**flags, model_dir=folder) == run.DONE
  return run_log.read(folder)


def assert_same_curve(folder, expected):
  rows = run_log.read(folder)
  assert [row["step"] for row in rows] == list(range(STEPS + 1))
  assert rows[0] == pytest.approx(expected[0], rel=1e-4)
  # BatchNorm's moving statistics and few images amplify what differs by then.
  for name in ("health_uniformity", "health_alignment", "health_rankme"):
    assert rows[-1][name] == pytest.approx(expected[-1][name], rel=0.1)
  rows, expected = rows[1:], expected[1:]
  for name in ("loss", "contrastive_loss", "contrastive_accuracy"):
    np.testing.assert_allclose(
      [row[name] for row in rows],
      [row[name] for row in expected],
      # Rounding grows to this within 20 steps, by the processor.
      rtol=3e-4,
      atol=1e-4,
    )
  assert rows[-1]["probe_accuracy"] == expected[-1]["probe_accuracy"]


def test_two_devices_train_as_one(one_device, demo_records, tmp_path):
  flags = {**FLAGS, "data_dir": demo_records}
  status = tiny.command(**flags, model_dir=tmp_path, strategy="mirrored")
  assert status == run.DONE
  assert_same_curve(tmp_path, one_device)


def test_two_processes_train_as_one_stopped_and_resumed(
  one_device, demo_records, tmp_path
):
  flags = {"data_dir": demo_records, "model_dir": tmp_path}

  def stop_one(workers):
    while len(run_log.read(tmp_path)) < 5:
      assert all(worker.poll() is None for worker in workers)
      time.sleep(0.1)
    workers[1].send_signal(signal.SIGTERM)

  statuses, said = run_workers(stop_one, **flags)
  assert statuses == [run.STOPPED] * 2, said
  assert 5 <= len(run_log.read(tmp_path)) <= STEPS
  statuses, said = run_workers(**flags)
  assert statuses == [run.DONE] * 2, said
  assert_same_curve(tmp_path, one_device)
