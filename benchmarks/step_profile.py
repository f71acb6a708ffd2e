"""Which operations a pretraining step's time goes to.

  python benchmarks/step_profile.py

TensorFlow's profiler over a few steps of `step_cost` at the precision that
--precision=auto takes here. The seconds are of all threads together, a step.
"""

from __future__ import annotations

import collections
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import step_cost
from benchmarks.small import sized

STEPS, LINES = sized(3, 1), 16


def seconds(folder):
  """Returns a profile's seconds by kind of operation, a `Counter`.

  The profiler calls an operation by its name and its kind, "a/conv:Conv2D".
  What else it names, as "ExecutorState::Process", is of operations too.
  """
  total = collections.Counter()
  for path in pathlib.Path(folder).glob("**/*.xplane.pb"):
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    for plane in space.planes:
      for event in (event for line in plane.lines for event in line.events):
        name, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(
          ":"
        )
        if name and name[-1] != ":" and kind and kind[0] != " ":
          kind = kind.replace("_MklNative", "").lstrip("_")
          total[kind] += event.duration_ps / 1e12
  return total


def main():
  """Prints a line a kind of operation."""
  precision = step_cost.fastest()
  model, views = step_cost.model_and_views(precision)
  data = tf.data.Dataset.from_tensors({"views": views}).repeat(STEPS)
  model.fit(data, verbose=0)
  with tempfile.TemporaryDirectory() as folder:
    with tf.profiler.experimental.Profile(folder):
      model.fit(data, verbose=0)
    found = seconds(folder)
  every = sum(found.values())
  print(f"{precision}: {every / STEPS:.2f} s a step, of all threads together")
  for kind, own in found.most_common(LINES):
    print(f"{kind:28} {own / STEPS:6.3f} s, {own / every:6.1%}")


if __name__ == "__main__":
  main()
