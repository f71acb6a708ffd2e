"""Patients that a model has seen, which guards against leakage."""

from __future__ import annotations

import dataclasses
import hashlib
import os

from tf_micle.runs import folder as run_folder
from tf_micle.system.written_whole import write_json

FILE_NAME = run_folder.TRAINED_ON


@dataclasses.dataclass(frozen=True)
class PatientSet:
  """The patients that one stage of training saw.

  Attributes:
    stage: 'pretrain', 'finetune', 'select' (whose scores picked the
      checkpoint), or 'unknown'.
    data: name of the data set and split.
    data_digest: tells one version of the split from another.
    key_id: tells the key of the pseudonyms; '' where patients are not known.
    patients: pseudonyms, sorted; () where patients are not known.
  """

  stage: str
  data: str
  data_digest: str
  key_id: str
  patients: tuple[str, ...]

  @classmethod
  def of(cls, stage, source):
    """Returns the patients of a split, `data.sources.bag_source.BagSource`."""
    return cls(
      stage, source.name, source.digest, source.key_id, source.patients()
    )

  @property
  def digest(self):
    """SHA-256, hexadecimal, over the pseudonyms."""
    lines = "".join(f"{patient}\n" for patient in self.patients)
    return hashlib.sha256(lines.encode()).hexdigest()


def check(earlier, evaluated):
  """Looks for patients to evaluate on among those that a model has seen.

  Args:
    earlier: `PatientSet`s of the stages of training.
    evaluated: the `PatientSet` to evaluate on.

  Returns:
    problems: why the evaluation must not be: patients that the model was
      fine-tuned on.
    warnings: what a reader of the evaluation must know: patients that it was
      pretrained on or whose scores picked its checkpoint, and where overlap
      cannot be told.
  """
  problems, warnings = [], []
  for one in earlier:
    certain, what = _compare(one, evaluated)
    picked = one.stage == "select"
    if one.stage == "unknown":
      warnings.append(
        f"Whether patients of {evaluated.data} are in {one.data} cannot be "
        f"told: there is no {FILE_NAME}."
      )
    elif certain and one.stage == "finetune":
      problems.append(
        f"Expected patients that the model was not fine-tuned on in "
        f"{evaluated.data}. Received: {what} it and the training data "
        f"({one.data}). Build splits by patient (data.build_tfrecords does), "
        "or name another --eval_split."
      )
    elif certain and one.data_digest == evaluated.data_digest:
      warnings.append(f"{evaluated.data} {_DONE_BY[one.stage]}.")
    elif certain:
      warnings.append(
        f"{what[:1].upper()}{what[1:]} {evaluated.data} and {one.data}, which "
        f"{_DONE_WITH[one.stage]}{': scores are optimistic' * picked}."
      )
    elif what:
      warnings.append(
        f"Whether patients of {evaluated.data} are in {one.data}, which "
        f"{_DONE_WITH[one.stage]}, cannot be told: {what}."
        f"{' Scores are optimistic if they are.' * picked}"
      )
  return problems, warnings


_DONE_BY = {
  "pretrain": "is what the encoder was pretrained on, without labels",
  "select": "picked the checkpoint: its scores are optimistic",
}
_DONE_WITH = {
  "pretrain": "the encoder was pretrained on, without labels",
  "finetune": "the model was fine-tuned on",
  "select": "picked the checkpoint",
}


def _compare(one, other):
  """Returns whether two sets surely share patients, and what to say of it."""
  shared = set(one.patients) & set(other.patients)
  if shared:
    number = f"{len(shared)} of {len(other.patients)} patients"
    return True, f"{number} {'is' if len(shared) == 1 else 'are'} in both"
  if not one.patients or not other.patients:
    if one.data_digest == other.data_digest:
      return True, "the same images are in both"
    return False, "patients are not known"
  if one.key_id != other.key_id:
    return False, (
      "the data were built with different keys (--id_key_file), so a patient "
      "has two pseudonyms"
    )
  return False, ""


def write(run_dir, sets):
  """Writes the `PatientSet`s of a run and of those before it, each once."""
  sets = dict.fromkeys(sets)
  rows = [{**dataclasses.asdict(s), "digest": s.digest} for s in sets]
  write_json(os.path.join(run_dir, FILE_NAME), rows)


def read(path):
  """Returns the `PatientSet`s of the run that `path` belongs to.

  Args:
    path: a run's folder, a folder of checkpoints in it, a checkpoint's prefix,
      or published weights. Where the run does not say, or it is none of ours,
      whom it saw is not known.

  Raises:
    InputError: where its file is damaged.
  """
  file_name = os.path.join(run_folder.of_checkpoint(path), FILE_NAME)
  if os.path.isfile(file_name) and not os.path.isfile(path):
    return _load(file_name)
  return [PatientSet("unknown", f"what {path} was trained on", "", "", ())]


def _load(file_name):
  rows, sets = run_folder.read_json(file_name, list), []
  try:
    for row in rows:
      digest = row.pop("digest")
      sets.append(PatientSet(**{**row, "patients": tuple(row["patients"])}))
      if sets[-1].digest != digest:
        raise ValueError("patients that do not give the file's digest")
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise run_folder.damaged(file_name, repr(error)) from error
  return sets
