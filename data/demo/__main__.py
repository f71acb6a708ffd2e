"""The command `python -m data.demo`: writes the demo's images and manifest."""

from __future__ import annotations

import sys

from absl import flags

from data.demo import dataset


def main(argv: list[str]) -> int:
  """Runs `python -m data.demo`; returns the exit status, 2 for bad use."""
  # Flags of its own, so that importing this module defines none.
  options = flags.FlagValues()
  flags.DEFINE_string(
    "output_dir", None, "Folder to write the demo in.", flag_values=options
  )
  flags.DEFINE_integer(
    "seed", 0, "The same seed gives the same files.", flag_values=options
  )
  flags.DEFINE_bool("help", False, "Shows this help.", flag_values=options)
  try:
    unknown = options(argv)[1:]
    if options.help:
      print(dataset.__doc__, options.get_help(), sep="\n")
      return 0
    if unknown or not options.output_dir:
      raise ValueError(f"Expected --output_dir=DIR. Received: {argv[1:]}")
    manifest = dataset.write_demo(options.output_dir, seed=options.seed)
  except (flags.Error, ValueError, OSError) as error:
    print(f"data.demo: {error}", file=sys.stderr)
    return 2
  print(f"Wrote {manifest}. To build records from it:")
  print(
    f"  python -m data.build_tfrecords --manifest={manifest} "
    f"--image_root={options.output_dir} --output_dir=RECORDS"
  )
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv))
