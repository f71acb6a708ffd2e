"""The first signal is answered at once, the second one is the end."""

import signal
import subprocess
import sys
import time

import pytest

from tf_micle.system import stop_signal

# A step of training is one long operation that does not return to Python.
_PROGRAM = """
import ctypes, os, sys
from tf_micle.system import stop_signal
sleep = ctypes.CDLL(None).sleep
with stop_signal.StopSignal() as stop:
  print("ready", flush=True)
  while not stop.requested:
    sleep(1)
  print("requested", flush=True)
  for _ in range(60):
    sleep(1)
"""
# One operation of a minute.
_SLOW_STEP = """
import time
from tf_micle.system import stop_signal
with stop_signal.StopSignal():
  print("ready", flush=True)
  time.sleep(60)
"""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(second):
  process = subprocess.Popen(
    [sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == "ready\n"
  process.send_signal(signal.SIGTERM)
  assert process.stdout.readline() == "requested\n"
  process.send_signal(second)
  assert process.wait(timeout=30) == stop_signal.STOPPED


def test_the_first_signal_is_answered_before_the_step_ends():
  process = subprocess.Popen(
    [sys.executable, "-c", _SLOW_STEP],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == "ready\n"
  process.send_signal(signal.SIGINT)
  assert process.stderr.readline() == "\n"
  answer = process.stderr.readline()
  assert answer == "Finishing this step; again to quit now.\n"
  assert process.poll() is None
  process.send_signal(signal.SIGINT)
  assert process.wait(timeout=30) == stop_signal.STOPPED
  assert process.stderr.read() == ""


def test_handlers_are_put_back():
  heard = []
  before = signal.signal(signal.SIGINT, lambda *_: heard.append("ours"))
  try:
    with stop_signal.StopSignal() as stop:
      signal.raise_signal(signal.SIGINT)
      deadline = time.monotonic() + 10
      while not stop.requested and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stop.requested
    assert heard == []
    signal.raise_signal(signal.SIGINT)
    assert heard == ["ours"]
  finally:
    signal.signal(signal.SIGINT, before)
