r"""The builder's command: from a manifest and images to bag TFRecords.

  python -m data.build_tfrecords --manifest=M.csv --image_root=DIR \
      --output_dir=RECORDS

The manifest has one row an image. docs/data_format.md tells all. One of DICOM
files can be begun from their headers, to look at and edit:

  python -m data.build_tfrecords --from_dicom=DIR --output=M.csv
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from absl import flags

from data import system_faults
from data.builder import dicom_folder, report
from data.builder.build import build
from data.builder.options import ON_BAD_IMAGE, BuildOptions
from data.images.worker_pool import WorkerDiedError
from data.problems import InputError, Problem

_DONE, _FAILED, _BAD_INPUT, _INTERRUPTED, _TERMINATED = 0, 1, 2, 130, 143
_FAULT = (
  "This is a fault of the program, not of your command. Please report it with "
  "the lines above and the command, less what tells a patient. Nothing was "
  "written."
)

_OUTPUT_ALONE = (
  "--output: Expected --from_dicom with it; records go to --output_dir."
)


def define_flags() -> flags.FlagValues:
  """Returns flags of this command alone; parsing them leaves no trace."""
  values = flags.FlagValues()

  def text(name, help_text, default=None):
    flags.DEFINE_string(name, default, help_text, flag_values=values)

  def texts(name, help_text):
    flags.DEFINE_list(name, None, help_text, flag_values=values)

  def number(name, default, help_text):
    flags.DEFINE_integer(name, default, help_text, flag_values=values)

  text("manifest", "CSV file, one row an image. Required.")
  text("image_root", "Folder that the paths begin in. Required.")
  text("output_dir", "Folder to write; new or empty. Required.")
  text("image_column", "Column of image paths.", "image")
  text("patient_column", "Column of patient ids.", "patient_id")
  text(
    "bag_column",
    "Column of bag ids, as studies or cases; splits stay by patient. Default: "
    "a bag is a patient.",
  )
  text(
    "label_column",
    "Column of class names, empty where unlabelled. Default: label, if there "
    "is such a column.",
  )
  texts(
    "label_columns",
    "Columns of a multi-label task, A,B,C: 1, 0, -1 uncertain, or empty.",
  )
  text(
    "split_column",
    "Column of split names. Default: split, if there is such a column.",
  )
  texts(
    "split_fractions",
    "Draws splits by patient. Default, if there is no split column: "
    "train=0.8,validation=0.1,test=0.1.",
  )
  texts(
    "metadata_columns",
    "Columns to keep of each image, as site,view,sex: evaluation has a table "
    "by each. Values are stored as they are.",
  )
  number("max_side", 512, "Larger images are shrunk to this many pixels.")
  text(
    "window",
    "Range of gray DICOM files, and of 16-bit PNG and TIFF, that becomes black "
    "to white: dicom (the file's own; PNG and TIFF in full), percentiles (0.5 "
    "and 99.5 of each image), or CENTER,WIDTH.",
    "dicom",
  )
  text(
    "frames",
    "Frames of DICOM files that hold several: all, middle, or a column with "
    "all, middle or a frame's number from 1.",
    "all",
  )
  flags.DEFINE_enum(
    "on_bad_image",
    "fail",
    ON_BAD_IMAGE,
    "What to do when an image is missing or damaged: stop, or leave it out "
    "and list it in rejected.csv.",
    flag_values=values,
  )
  number("workers", None, "Processes. Default: one a core.")
  text(
    "id_key_file",
    "Key of the pseudonyms, made where missing. Default: OUTPUT_DIR.id_key.",
  )
  text("name", "Begins the file names. Default: from output_dir.")
  number("seed", 0, "Of drawn splits and of the order of the bags.")
  number("images_per_shard", 1000, "About how many images to put in a file.")
  text(
    "from_dicom",
    "Folder of DICOM files: writes their manifest to --output, and no records.",
  )
  text("output", "With --from_dicom: the manifest to write.", "manifest.csv")
  flags.DEFINE_bool("help", False, "Shows this.", flag_values=values)
  return values


def _options(values: flags.FlagValues) -> BuildOptions:
  given = values.flag_values_dict()
  for name in ("help", "from_dicom", "output"):
    del given[name]
  for name in ("label_columns", "split_fractions", "metadata_columns"):
    given[name] = tuple(part.strip() for part in given[name] or ())
  return BuildOptions(**given)


def _manifest_of_dicom(values: flags.FlagValues) -> str:
  """Writes a manifest; returns what to print."""
  used = ("from_dicom", "output", "workers")
  others = [n for n in values if values[n].present and n not in used]
  if others:
    message = (
      "--from_dicom: Expected --output and --workers beside it, since no "
      f"records are written. Received: --{', --'.join(sorted(others))}."
    )
    raise InputError([Problem("bad option", message)])
  return dicom_folder.write_manifest(
    values.from_dicom, values.output, values.workers, show_progress=True
  )


def main(argv: Sequence[str]) -> int:
  """Runs the command.

  Args:
    argv: program name and flags.

  Returns:
    The exit status: 0 done, 1 a failure, 2 bad use or bad input, 130 and 143
    stopped by Ctrl-C and SIGTERM.
  """
  values = define_flags()
  try:
    rest = values(list(argv))[1:]
    if rest:
      raise flags.Error(f"Expected flags only. Received: {' '.join(rest)!r}.")
  except flags.Error as error:
    print(f"{error}\nSee --help.", file=sys.stderr)
    return _BAD_INPUT
  if values.help:
    print(f"{__doc__}\n{values.get_help()}")
    return _DONE
  # TensorFlow's start-up messages are of no use to who builds a data set.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  try:
    if values.from_dicom:
      told = _manifest_of_dicom(values)
    else:
      if values["output"].present:
        raise InputError([Problem("bad option", _OUTPUT_ALONE)])
      told = report.summary(build(_options(values), show_progress=True))
  except InputError as error:
    print(error, file=sys.stderr)
    return _BAD_INPUT
  except (OSError, WorkerDiedError) as error:
    reason = f"{error} Try fewer --workers."
    if isinstance(error, OSError):
      reason = system_faults.reason(error)
    print(f"The build failed, nothing was written. {reason}", file=sys.stderr)
    return _FAILED
  except (KeyboardInterrupt, SystemExit) as stop:
    print("Stopped, nothing was written.", file=sys.stderr)
    return stop.code if isinstance(stop, SystemExit) else _INTERRUPTED
  except Exception:
    traceback.print_exc()
    print(_FAULT, file=sys.stderr)
    return _FAILED
  print(told)
  return _DONE


def _terminate(signum, frame):
  del signum, frame
  # Passes through the clean-up of the build.
  raise SystemExit(_TERMINATED)


if __name__ == "__main__":
  signal.signal(signal.SIGTERM, _terminate)
  sys.exit(main(sys.argv))
