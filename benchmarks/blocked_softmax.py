"""Time and memory of NT-Xent's softmax: whole, blocked, and by recompute_grad.

  python benchmarks/blocked_softmax.py

Loss and gradient of 8,192 and 16,384 views of 128 dimensions, without XLA and
with it: as one matrix, in blocks with a gradient of their own (what a run
takes), and in blocks under `tf.recompute_grad`. Seconds are the processor's, of
all cores, the fastest of 8 steps; memory is what the steps add to the peak of a
process that has imported TensorFlow. Each case is a process of its own. Two
minutes on two cores.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import sys
import time

sys.path.insert(0, os.fspath(pathlib.Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import new_process
from benchmarks.small import sized

VIEWS, STEPS = sized((8192, 16384), (4096,)), sized(8, 3)
WIDTH, BLOCK = 128, 1024
KINDS = ("whole", "blocked", "recompute")


def recomputed_values(
  anchors, candidates, itself, partner, *, temperature, block
):
  """As `blocked_softmax.blocked_values`, for whole blocks only."""
  import tensorflow as tf

  from tf_micle.contrastive import blocked_softmax

  def one(parts):
    rows, itself, partner = parts

    @tf.recompute_grad
    def values(rows, candidates):
      losses, hits, entropies = blocked_softmax.values(
        rows, candidates, itself, partner, temperature=temperature
      )
      return losses, hits, tf.stop_gradient(entropies)

    return values(rows, candidates)

  found = tf.map_fn(
    one,
    (
      tf.reshape(anchors, (-1, block, anchors.shape[-1])),
      tf.reshape(itself, (-1, block)),
      tf.reshape(partner, (-1, block)),
    ),
    fn_output_signature=(tf.TensorSpec((block,), tf.float32),) * 3,
    parallel_iterations=1,
  )
  return tuple(tf.reshape(part, (-1,)) for part in found)


def measure(kind, views, xla):
  """Returns seconds a step and MB added to this process's peak."""
  import tensorflow as tf

  from tf_micle.contrastive import blocked_softmax

  function, options = {
    "whole": (blocked_softmax.values, {}),
    "blocked": (blocked_softmax.blocked_values, {"block": BLOCK}),
    "recompute": (recomputed_values, {"block": BLOCK}),
  }[kind]
  itself = tf.range(views)
  partner = (itself + views // 2) % views

  @tf.function(jit_compile=xla)
  def step(z):
    with tf.GradientTape() as tape:
      tape.watch(z)
      unit = tf.math.l2_normalize(z, axis=-1)
      found = function(unit, unit, itself, partner, temperature=0.1, **options)
      loss, *logged = [tf.reduce_mean(values) for values in found]
    return tape.gradient(loss, z), logged

  z = tf.random.stateless_normal((views, WIDTH), (0, 0))
  before, times = peak(), []
  for _ in range(STEPS + 1):
    start = time.process_time()
    step(z)[0].numpy()
    times.append(time.process_time() - start)
  return min(times[1:]), peak() - before


def peak():
  """Returns the peak memory of this process in MB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
  """Prints a line a case, with ratios to the blocked softmax."""
  if len(sys.argv) > 1:
    print(json.dumps(measure(*json.loads(sys.argv[1]))))
    return
  for xla in (False, True):
    for views in VIEWS:
      found = {kind: new_process.measured(kind, views, xla) for kind in KINDS}
      for kind, (seconds, memory) in found.items():
        of_time, of_memory = (
          mine / blocked
          for mine, blocked in zip((seconds, memory), found["blocked"])
        )
        print(
          f"{views} views{', XLA' * xla}, {kind}: {seconds:.2f} s, "
          f"{of_time:.2f} x; {memory:.0f} MB, {of_memory:.2f} x",
          flush=True,
        )


if __name__ == "__main__":
  main()
