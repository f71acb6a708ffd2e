"""Cluster of workers as TF_CONFIG names it; does not import TensorFlow."""

from __future__ import annotations

import json
import os

from tf_micle.system.input_error import InputError

_SUCH_AS = (
  '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
  '"task": {"type": "worker", "index": 0}}'
)


def read():
  """Returns TF_CONFIG, a dict; {} where it is not set.

  Raises:
    InputError: if it is not what TensorFlow reads: a JSON object with lists of
      addresses in `cluster`, and `task`, which says which of them this one is.
  """
  text = os.environ.get("TF_CONFIG") or "{}"
  try:
    config = json.loads(text)
  except ValueError:
    config = None
  if config != {} and not _is_config(config):
    raise InputError(
      f"Expected TF_CONFIG, such as {_SUCH_AS}, with a task that is in the "
      f"cluster. Received: {text!r}"
    )
  return config


def _is_config(config):
  """Whether it is an object of a cluster and a task in it."""
  try:
    cluster, task = config.get("cluster", {}), config.get("task")
    lists = all(isinstance(hosts, list) for hosts in cluster.values())
    is_one = not cluster or isinstance(
      cluster[task["type"]][int(task["index"])], str
    )
  except (AttributeError, KeyError, IndexError, TypeError, ValueError):
    return False
  return lists and is_one


def num_workers():
  """Returns how many workers TF_CONFIG names; 0 where it is not set."""
  cluster = read().get("cluster", {})
  return len(cluster.get("worker", ())) + len(cluster.get("chief", ()))


def check(options, problems):
  """Ends the command where several workers cannot do what is asked for.

  Args:
    options: has `mode`, `sweep` and `demo`, as the flags are named.
    problems: `flags.problems.Problems`; those that are known already.
  """
  workers = problems.collect(num_workers) or 0
  trains = options.mode in ("pretrain", "finetune") and not options.sweep
  if workers > 1 and not trains:
    what = "--sweep" if options.sweep else f"--mode={options.mode}"
    problems.add(
      f"Expected one process for {what}. Received: {workers} workers in "
      "TF_CONFIG. Unset it."
    )
  elif workers > 1 and options.demo:
    problems.add(
      f"Expected --data_dir or --dataset for {workers} workers in TF_CONFIG. "
      "Received: neither; the demo is for one process."
    )
  # A strategy would wait for the other workers.
  if os.environ.get("TF_CONFIG"):
    problems.stop_if_any()
