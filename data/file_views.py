"""Preprocessing of a run, as `tf_micle.load` takes it (docs/python.md)."""

from __future__ import annotations

import os

from absl import logging

from data.demo import dataset as demo_dataset
from data.records import dataset_json
from data.views import geometry
from data.views.file_views import FileViews

__all__ = ["FileViews", "of_run"]

_DEFAULT_MAX_SIDE = 512
# TFDS's images are not shrunk before they are cut.
_AS_IT_IS = 1 << 30


def of_run(flags, max_side=None):
  """Returns the `FileViews` of a run.

  Args:
    flags: the run's, as its flags.json has them.
    max_side: larger images are shrunk to it; None: as those of the run's data
      were, and to 512 pixels where the data are no longer there.
  """
  views = geometry.ViewOptions(
    image_size=flags["image_size"], resize_method=flags["resize_method"]
  )
  if max_side is None and flags["dataset"]:
    max_side = _AS_IT_IS
  elif max_side is None:
    folder = demo_dataset.RECORDS if flags["demo"] else flags["data_dir"]
    max_side = _stored_max_side(folder)
  if max_side is None:
    logging.warning(
      "The data of the run are not there to tell how images were shrunk: "
      "taking %d pixels.",
      _DEFAULT_MAX_SIDE,
    )
  return FileViews(views, max_side or _DEFAULT_MAX_SIDE)


def _stored_max_side(data_dir):
  """Returns the `--max_side` that records were built with; None if unknown."""
  path = os.path.join(data_dir or "", dataset_json.FILE_NAME)
  if not data_dir or not os.path.isfile(path):
    return None
  try:
    description = dataset_json.load(data_dir)
  except dataset_json.DatasetError:
    return None
  return description.options.get("max_side")
