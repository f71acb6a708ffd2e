"""The demo's command, `python -m data.demo`: its images and manifest."""

from __future__ import annotations

import shlex
import sys

from absl import flags

from data import system_faults
from data.demo import dataset
from data.problems import DataError


def main(argv: list[str]) -> int:
  """Runs `python -m data.demo`.

  Returns:
    The exit status: 0 done, 1 a failure, 2 bad use.
  """
  # Flags of its own, so that importing this module defines none.
  options = flags.FlagValues()
  flags.DEFINE_string(
    "output_dir", None, "Folder to write the demo in.", flag_values=options
  )
  flags.DEFINE_integer(
    "seed",
    0,
    "The same seed gives the same files.",
    lower_bound=0,
    flag_values=options,
  )
  flags.DEFINE_bool("help", False, "Shows this help.", flag_values=options)
  try:
    unknown = options(argv)[1:]
    if options.help:
      print(dataset.__doc__, options.get_help(), sep="\n")
      return 0
    if unknown or not options.output_dir:
      raise flags.Error(f"Expected --output_dir=DIR. Received: {argv[1:]}")
    manifest = dataset.write_demo(options.output_dir, seed=options.seed)
  except (flags.Error, DataError) as error:
    print(f"data.demo: {error}", file=sys.stderr)
    return 2
  except OSError as error:
    print(f"data.demo: {system_faults.reason(error)}", file=sys.stderr)
    return 1
  command = ["python", "-m", "data.build_tfrecords", f"--manifest={manifest}"]
  command += [f"--image_root={options.output_dir}", "--output_dir=RECORDS"]
  print(f"Wrote {manifest!r}. To build records from it:")
  print(f"  {shlex.join(command)}")
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv))
