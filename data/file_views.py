"""Preprocessing of a run, as `tf_micle.load` takes it (docs/python.md)."""

from __future__ import annotations

import os

from absl import logging

from data.demo import dataset as demo_dataset
from data.images import windows
from data.records import dataset_json
from data.views import geometry
from data.views.file_views import FileViews

__all__ = ["FileViews", "of_run"]

_DEFAULT_MAX_SIDE = 512
# TFDS's images are not shrunk before they are cut.
_AS_IT_IS = 1 << 30


def of_run(flags, max_side=None, window=None):
  """Returns the `FileViews` of a run.

  Args:
    flags: the run's, as its flags.json has them.
    max_side: larger images are shrunk to it; None: as those of the run's data
      were, and to 512 pixels where the data are no longer there.
    window: as the builder's `--window`; None: as that of the run's data,
      'dicom' where they are no longer there.
  """
  views = geometry.ViewOptions(
    image_size=flags["image_size"], resize_method=flags["resize_method"]
  )
  folder = demo_dataset.RECORDS if flags["demo"] else flags["data_dir"]
  stored = {} if flags["dataset"] else _stored_options(folder)
  if max_side is None:
    max_side = _AS_IT_IS if flags["dataset"] else stored.get("max_side")
  if max_side is None:
    logging.warning(
      "The data of the run are not there to tell how images were shrunk: "
      "taking %d pixels.",
      _DEFAULT_MAX_SIDE,
    )
  window = window or stored.get("window", windows.FULL)
  return FileViews(views, max_side or _DEFAULT_MAX_SIDE, window)


def _stored_options(data_dir):
  """Returns what records were built with; {} if unknown."""
  path = os.path.join(data_dir or "", dataset_json.FILE_NAME)
  if not data_dir or not os.path.isfile(path):
    return {}
  try:
    description = dataset_json.load(data_dir)
  except dataset_json.DatasetError:
    return {}
  return description.options
