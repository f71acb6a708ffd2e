r"""The builder's command: from a manifest and images to bag TFRecords.

  python -m data.build_tfrecords --manifest=M.csv --image_root=DIR \
      --output_dir=RECORDS

The manifest has one row an image. docs/data_format.md tells all. For a public
data set's own label files see docs/recipes.md:

  python -m data.build_tfrecords --recipe=chexpert --manifest=train.csv \
      --image_root=DIR --output_dir=RECORDS

For DICOM files, --from_dicom=DIR --output=M.csv begins a manifest from their
headers (docs/dicom.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from absl import flags

from data import command
from data.builder import beam_options, dicom_folder, recipes, report
from data.builder.beam_pool import BeamError
from data.builder.build import build
from data.builder.options import ON_BAD_IMAGE, BuildOptions
from data.manifest import reshape_options
from data.manifest.reshape_options import ReshapeOptions
from data.problems import InputError, Problem

_OUTPUT_ALONE = "--output: Expected --from_dicom with it."
_NO_RECORDS = "--from_dicom: Expected --output and --workers beside it only."


def define_flags() -> flags.FlagValues:
  """Returns flags of this command alone; parsing them leaves no trace."""
  values = flags.FlagValues()

  def text(name, help_text, default=None):
    flags.DEFINE_string(name, default, help_text, flag_values=values)

  def texts(name, help_text):
    flags.DEFINE_list(name, None, help_text, flag_values=values)

  def steps(name, help_text):
    flags.DEFINE_multi_string(name, None, help_text, flag_values=values)

  def choice(name, default, names, help_text):
    flags.DEFINE_enum(name, default, names, help_text, flag_values=values)

  def number(name, default, help_text):
    flags.DEFINE_integer(name, default, help_text, flag_values=values)

  text(
    "recipe",
    "A public data set's flags, by name, or a file of flags of your own; flags "
    f"that you give win. Names: {', '.join(recipes.names())}.",
  )
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
    "Draws splits by patient; with --split_column or --manifest_split, divides "
    "the given split that it names. Default, if there is no split column: "
    "train=0.8,validation=0.1,test=0.1.",
  )
  texts(
    "metadata_columns",
    "Columns to keep of each image, as site,view,sex: evaluation has a table "
    "by each. Values are stored as they are, names with _ for what is no "
    "letter or digit.",
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
  choice(
    "on_bad_image",
    "fail",
    ON_BAD_IMAGE,
    "What to do when an image is missing or damaged: stop, or leave it out "
    "and list it in rejected.csv.",
  )
  number("workers", None, "Processes. Default: one a core.")
  choice(
    "runner",
    "local",
    beam_options.RUNNERS,
    "Processes of this machine, or Apache Beam's, as on a cluster "
    "(docs/scale.md).",
  )
  text(
    "beam_options",
    "With --runner=beam: options of its pipeline in one text, as "
    "'--runner=FlinkRunner --flink_master=HOST:8081'.",
  )
  text(
    "id_key_file",
    "Key of the pseudonyms, made where missing. Default: OUTPUT_DIR.id_key.",
  )
  text("name", "Begins the file names. Default: from output_dir.")
  number("seed", 0, "Of drawn splits and of the order of the bags.")
  number("images_per_shard", 1000, "About how many images to put in a file.")
  _define_steps(values, text, texts, steps, choice)
  text("from_dicom", "Folder of DICOM files to write the manifest of.")
  text("output", "With --from_dicom: the CSV file to write.", "manifest.csv")
  flags.DEFINE_bool("help", False, "Shows this.", flag_values=values)
  return values


def _define_steps(values, text, texts, steps, choice) -> None:
  """Defines the flags of `ReshapeOptions`, in the order of the steps."""
  text("manifest_split", "Split of all rows of the manifest.")
  texts(
    "more_manifests",
    "Files of the same columns beside the manifest, SPLIT=FILE, or FILE where "
    "a column has the splits.",
  )
  texts(
    "image_columns",
    "Columns of paths where a row has several images, as a left and a right "
    "eye: makes a row of each, with columns image and image_column (which of "
    "them it stood in).",
  )
  steps(
    "pattern",
    "COLUMN:REGEX, as Path:(?P<patient_id>patient\\d+): each named group "
    "becomes a column. May be given several times.",
  )
  steps(
    "join",
    "FILE:KEY,KEY: adds the columns of a CSV beside the manifest, where these "
    "columns are equal but for case; KEY=OTHER where the file has another "
    "name for it. May be given several times.",
  )
  texts(
    "one_hot_columns", "Columns of classes, of which one is 1: makes a class."
  )
  text(
    "label_separator",
    "What stands between the findings in --label_column, as |: makes a finding "
    "of each part, or of those in --label_columns. list: a cell is a list, "
    "['a', 'b']. none: a cell is one class, whatever it looks like.",
  )
  texts("no_finding_labels", "Labels that mean that there is none: No Finding.")
  choice(
    "blank",
    "missing",
    reshape_options.BLANK,
    "What an empty cell of --label_columns says in a row that states another "
    "finding: nothing, or that it is absent.",
  )
  text(
    "path_template",
    "Path of an image, of columns: {image_id}.jpg, or "
    "p{subject_id:.2}/{image_id}.png. In place of --image_column.",
  )
  texts(
    "image_folders",
    "Folders below --image_root, * and ? stand for any: an image's path begins "
    "in the one that it is in.",
  )
  choice(
    "blank_patients",
    "fail",
    reshape_options.BLANK_PATIENTS,
    "An image without a patient: an error, or a patient of its own.",
  )
  flags.DEFINE_bool(
    "merge_rows",
    False,
    "Several rows may tell of one image: a finding is present (1) if any row "
    "says so, else -1, else 0; in all else they must agree.",
    flag_values=values,
  )


def build_options(values: flags.FlagValues) -> BuildOptions:
  """Returns what parsed flags say."""
  given = {}
  for name, value in values.flag_values_dict().items():
    if isinstance(values[name], flags.MultiFlag):
      value = tuple(step for step in value or () if step)
    elif isinstance(values[name].parser, flags.ListParser):
      value = tuple(part.strip() for part in value or ())
    elif value == "" and values[name].default is None:
      value = None  # --split_column= takes back what a recipe says.
    given[name] = value
  for name in ("help", "recipe", "from_dicom", "output"):
    del given[name]
  fields = dataclasses.fields(ReshapeOptions)
  steps = {field.name: given.pop(field.name) for field in fields}
  return BuildOptions(**given, reshape=ReshapeOptions(**steps))


def _work(values: flags.FlagValues) -> str:
  """Builds, or writes a manifest; returns what to print."""
  if not values.from_dicom:
    if values["output"].present:
      raise InputError([Problem("bad option", _OUTPUT_ALONE)])
    return report.summary(build(build_options(values), show_progress=True))
  others = {name for name in values if values[name].present}
  others -= {"from_dicom", "output", "workers"}
  if others:
    message = f"{_NO_RECORDS} Received: --{', --'.join(sorted(others))}."
    raise InputError([Problem("bad option", message)])
  return dicom_folder.write_manifest(
    values.from_dicom, values.output, values.workers, show_progress=True
  )


def main(argv: Sequence[str]) -> int:
  """Runs the command; see `command.run`."""
  return command.run(
    argv,
    define_flags(),
    usage=__doc__,
    check=lambda values: values.recipe and recipes.fill(values, define_flags),
    work=_work,
    name="The build",
    ends="nothing was written",
    failures=(BeamError,),
  )


if __name__ == "__main__":
  command.main(main)
