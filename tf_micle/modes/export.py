"""Export of a run's model, as TF Serving takes it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import tempfile

import tensorflow as tf
from absl import logging

from tf_micle.evaluation import operating_points
from tf_micle.loading.opened import open_run
from tf_micle.runs import checkpoint, provenance
from tf_micle.serving import saved_model, warmup
from tf_micle.system import log_noise
from tf_micle.system.input_error import InputError
from tf_micle.system.written_whole import flush_folder


@dataclasses.dataclass(frozen=True)
class ExportMode:
  """What to export, and where; fields are named as their flags are."""

  model_dir: str
  checkpoint: str | None
  export_dir: str
  export_version: int | None
  warmup: bool


def run(mode, views, problems):
  """Exports a run.

  The version's folder is there whole or not at all, and what is there is never
  written over.

  Args:
    mode: `ExportMode`.
    views: `data.views.file_views.FileViews`, the run's.
    problems: `flags.problems.Problems`; those that are known already.

  Returns:
    The folder of the version, and the names of its signatures.
  """
  target = problems.collect(_target, mode)
  problems.stop_if_any()
  opened = problems.collect(open_run, mode.model_dir)
  problems.stop_if_any()
  network = problems.collect(opened.network, mode.checkpoint)
  problems.stop_if_any()
  for note in network.no_points:
    logging.warning("%s", note)
  size = views.views.image_size
  served = saved_model.ServedModel(
    network, to_views=views.batch, image_size=size
  )
  os.makedirs(mode.export_dir, exist_ok=True)
  # TF Serving looks for folders whose names are numbers.
  partial = tempfile.mkdtemp(
    prefix=f".{os.path.basename(target)}.partial-", dir=mode.export_dir
  )
  try:
    os.chmod(partial, 0o777 & ~_umask())
    with tempfile.TemporaryDirectory() as assets:
      _write_assets(assets, network, views)
      served.root.assets = [
        tf.saved_model.Asset(os.path.join(assets, name))
        for name in sorted(os.listdir(assets))
      ]
      logging.info("Writing %s.", target)
      with log_noise.without(log_noise.EXPORT):
        tf.saved_model.save(
          served.root,
          partial,
          signatures=served.signatures,
          options=tf.saved_model.SaveOptions(save_debug_info=False),
        )
    if mode.warmup:
      warmup.write(
        partial,
        served.signatures,
        model_name=model_name(mode.export_dir),
        image_size=size,
      )
    flush_folder(partial)
    _put(partial, target)
  except BaseException:
    shutil.rmtree(partial, ignore_errors=True)
    raise
  return target, sorted(served.signatures)


def _put(partial, target):
  """Gives a version its name, unless another export has taken it."""
  try:
    os.rename(partial, target)
  except OSError as error:
    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
      raise
    raise InputError(
      f"Expected {target} to be new. Received: a version that another export "
      "has written in the meantime. Give the command again"
    ) from error


def model_name(export_dir):
  """Returns the name to serve a model by: that of its folder."""
  name = os.path.basename(os.path.abspath(export_dir))
  return re.sub(r"\W+", "_", name).strip("_") or "model"


def _target(mode):
  """Returns the version's folder.

  Raises:
    InputError: if it is there already.
  """
  version = mode.export_version
  if version is None:
    version = 1 + max(_versions(mode.export_dir), default=0)
  target = os.path.join(mode.export_dir, str(version))
  if os.path.lexists(target):
    raise InputError(
      "Expected --export_version to be new: a version that is there is never "
      f"written over. Received: --export_version={version}, and {target} exists"
    )
  return target


def _versions(export_dir):
  names = os.listdir(export_dir) if os.path.isdir(export_dir) else []
  return [int(name) for name in names if re.fullmatch("[0-9]+", name)]


def _write_assets(folder, network, views):
  """Writes what a user of the model has to know, for people and programs."""

  def write(name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
      file.write(text)

  run = network.run
  if run.class_names:
    write("class_names.txt", "".join(f"{n}\n" for n in run.class_names))
  described = {
    **(
      {operating_points.FILE_NAME: network.points.content()}
      if network.points
      else {}
    ),
    "preprocessing.json": views.description(),
    "provenance.json": {
      "run": provenance.read(run.folder),
      "options": dataclasses.asdict(run.options),
      "checkpoint": os.path.basename(network.checkpoint),
      "checkpoint_sha256": checkpoint.digest(network.checkpoint),
      "exported_by": provenance.software(),
    },
  }
  for name, content in described.items():
    write(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _umask():
  """Returns the process's umask, which can only be read by setting it."""
  mask = os.umask(0)
  os.umask(mask)
  return mask
