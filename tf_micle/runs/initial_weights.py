"""Weights that a run starts from: another run's, or published ones.

All of a part, or none: a network of which one layer is random gives features
that mean nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from tf_micle.encoder.build import SMALL_IMAGE_SIZE
from tf_micle.encoder.published import files, opening
from tf_micle.encoder.published.weights import (
  HEAD,
  INITIAL_KERNEL,
  has_small_stem,
)
from tf_micle.runs import checkpoint, named_variables
from tf_micle.runs import folder as run_folder
from tf_micle.runs.weights_report import Report

OWN_FORMAT = "run of this program"


@dataclasses.dataclass(frozen=True)
class Source:
  """Arrays that variables may start from.

  Attributes:
    format: what it is, for people.
    path: of the checkpoint or file.
    files: what it consists of.
    shapes: of the arrays: under checkpoint keys for a run of ours, else under
      plain names.
    read: from a list of these to the arrays, by the same.
    own: whether it is a run of ours.
    classes: outputs of its classifier; 0 without one.
    step: of its training, or None where not known.
    image_size: that it was trained at, in pixels, or None where not known.
    small_stem: whether its stem is that of small images, or None likewise.
    left: what the files hold beside the network.
  """

  format: str
  path: str
  files: tuple[str, ...]
  shapes: Mapping[str, tuple[int, ...]]
  read: Callable[[list[str]], dict[str, np.ndarray]]
  own: bool
  classes: int = 0
  step: int | None = None
  image_size: int | None = None
  small_stem: bool | None = None
  left: tuple[str, ...] = ()

  def provenance(self):
    """Returns what to put down of it: format, path, digest of the files."""
    return {
      "format": self.format,
      "path": self.path,
      "sha256": files.digest(self.files),
    }


@dataclasses.dataclass(frozen=True)
class Start:
  """How a run begins.

  Attributes:
    step: steps done.
    line: what it begins from, for the log.
    started_from: the weights that it comes from, the first ones first: of each
      the format, path and digest.
  """

  step: int
  line: str
  started_from: list[dict]


def start(checkpoints, model_dir, initial, models, *, image_size):
  """Puts a run where it is to begin, by this policy:

  1. Its newest checkpoint, with all that it holds.
  2. The weights of `models` in what `initial` names.
  3. The initial weights, as they are.

  Args:
    checkpoints: `checkpoint.RunCheckpoints` of the run.
    model_dir: the run's folder.
    initial: as `path` in `open_source`, or None.
    models: dict of name to (built model, a part of the run; whether it may keep
      its initial values where the source has none).
    image_size: of this run, in pixels.

  Returns:
    A `Start`.

  Raises:
    InputError: where the weights are not there or do not fit.
  """
  step = checkpoints.restore()
  if step is not None:
    return Start(step, f"resumes from {checkpoints.latest}", chain(model_dir))
  if not initial:
    return Start(0, "starts from random weights", [])
  source = open_source(initial)
  report = initialise(
    source,
    {name: model for name, (model, _) in models.items()},
    optional=[name for name, (_, may_lack) in models.items() if may_lack],
  )
  before = chain(run_folder.of_checkpoint(initial)) if source.own else []
  own = {**source.provenance(), "parts": report.taken}
  line = f"starts from {report}"
  if source.image_size not in (None, image_size):
    line += (
      f"\n  its images were {source.image_size} pixels, these are {image_size}"
    )
  return Start(0, line, [*before, own])


def chain(run_dir):
  """Returns the weights that a run comes from, as in `Start.started_from`."""
  path = f"{run_dir}/{run_folder.PROVENANCE}"
  return run_folder.read_json(path).get("started_from", [])


def described(run_dir):
  """Returns the weights that a run comes from, a line of text each."""
  return [
    f"{one['path']} ({one['format']}, SHA-256 {one['sha256'][:16]})"
    for one in chain(run_dir)
  ]


def open_source(path):
  """Opens weights to start from; reads no array yet.

  Args:
    path: of a run of ours as in `checkpoint.find`; or of published weights as
      in `published.opening.open_weights`.

  Returns:
    A `Source`.

  Raises:
    InputError: where there is none, or it is of another format.
  """
  weights = None
  if not run_folder.flags_of_run(path):
    weights = opening.open_weights(path)
  if weights is None:
    return _own_source(checkpoint.find(path))
  return Source(
    format=weights.format,
    path=weights.path,
    files=weights.files,
    shapes=weights.shapes,
    read=lambda names: opening.read_arrays(weights, names),
    own=False,
    classes=weights.classes,
    step=weights.step,
    small_stem=has_small_stem(weights.shapes),
    left=weights.left,
  )


def _own_source(path):
  reader = checkpoint.open_reader(path)
  shapes = reader.get_variable_to_shape_map()
  bias = shapes.get(f"{HEAD}/bias{named_variables.VALUE}", [0])
  return Source(
    format=OWN_FORMAT,
    path=path,
    files=tuple(checkpoint.list_files(path)),
    shapes={key: tuple(shape) for key, shape in shapes.items()},
    read=lambda keys: checkpoint.read_arrays(reader, keys, path),
    own=True,
    classes=bias[0],
    step=run_folder.step_of(path),
    image_size=run_folder.read_flags(path).get("image_size"),
  )


def initialise(source, parts, *, optional=()):
  """Starts `parts` from weights.

  Args:
    source: a `Source`, or a path as in `open_source`.
    parts: dict of name to built model, under the names that runs save.
    optional: names of parts that keep their initial values where the source has
      nothing of them.

  Returns:
    A `weights_report.Report`.

  Raises:
    InputError: naming the variables that do not match; then none is changed.
  """
  if not isinstance(source, Source):
    source = open_source(source)
  report, matched = _compare(source, named_variables.of(parts))
  faulty = report.faulty_parts(optional)
  if faulty:
    raise checkpoint.CheckpointError(
      f"{report.faults(faulty)}\n{_what_to_do(source, report, faulty)}"
    )
  values = source.read(list(matched))
  for key, variable in matched.items():
    variable.assign(values[key])
  return report


def _compare(source, variables):
  """Returns a `Report`, and the variables that match, by the source's keys."""
  report, matched = Report(source), {}
  keys = set()
  for one in variables:
    key = one.key if source.own else one.name
    keys.add(key)
    shape = source.shapes.get(key)
    report.add(one, shape)
    if shape == tuple(one.variable.shape):
      matched[key] = one.variable
  for key in sorted(source.shapes.keys() - keys):
    report.add_unexpected(key)
  return report, matched


def _what_to_do(source, report, faulty):
  """Returns how to make the network fit, where it is known."""
  kernel = report.expected.get(INITIAL_KERNEL)
  received = report.received.get(INITIAL_KERNEL)
  if kernel and received:
    small = [has_small_stem({INITIAL_KERNEL: k}) for k in (received, kernel)]
    if small == [True, False]:
      return (
        f"They have the stem of images up to {SMALL_IMAGE_SIZE} pixels: give "
        f"--image_size={SMALL_IMAGE_SIZE} or less."
      )
    if small == [False, True]:
      return (
        f"They have the stem of images of more than {SMALL_IMAGE_SIZE} pixels: "
        "give a larger --image_size."
      )
  if faulty == ["projection_head"]:
    return (
      "To leave it out: --checkpoint_parts=encoder (fine-tuning: "
      "--ft_proj_selector=0)."
    )
  if source.own:
    return "Give the model flags of the run that wrote it (flags.json)."
  return "Leave out the flags of the network: they are taken from the weights."
