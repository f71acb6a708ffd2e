"""Devices of a command: its strategy, and what they settle of its flags."""

from __future__ import annotations

from absl import logging

from tf_micle.system import distribution, jit, precision


def choose(options, problems):
  """Returns the strategy that the flags ask for; None where it is not there.

  Args:
    options: a named tuple of the flags.
    problems: `flags.problems.Problems`; what does not go is added to it.
  """
  strategy = problems.collect(
    distribution.choose, options.strategy, tpu_name=options.tpu_name
  )
  if strategy is None:
    return None
  logging.info("Devices: %s", distribution.describe(strategy))
  if options.mode in ("pretrain", "finetune"):
    problems.add(
      *distribution.batch_problems(
        strategy,
        batch_size=options.train_batch_size,
        micro_batch_size=options.micro_batch_size,
        read_parts=options.read_parts,
      )
    )
  return strategy


def settle(options, strategy, problems):
  """Returns the options with what these devices settle of them.

  Args:
    options: as in `choose`.
    strategy: `tf.distribute.Strategy`, or None.
    problems: as in `choose`.
  """
  name, why = precision.choose(options.precision, strategy)
  logging.info("Precision of the encoder: %s (%s)", name, why)
  compiled = problems.collect(jit.choose, options.jit, strategy)
  # TFDS's files are not read apart, and labels may be few in some files.
  whole = options.dataset or options.mode == "finetune"
  hosts = 1 if whole else distribution.input_hosts(strategy)
  parts = options.read_parts or hosts
  return options._replace(precision=name, jit=compiled, read_parts=parts)
