"""Jobs of a study: each a run of run.py, and what it waits for."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from tf_micle.study.design import Study

KINDS = ("pretrain", "finetune", "evaluate")
# A study has many runs, and none is resumed once it is done. The file's own
# flags come after these and win.
_FEW_FILES = "--keep_checkpoint_max=1"


@dataclasses.dataclass(frozen=True)
class Job:
  """A run of run.py.

  Attributes:
    name: its folder in the study's; ends with a digest of all that shapes the
      run, so that a changed flag is another job and equal ones are shared.
    kind: one of `KINDS`.
    told: what it is, for people.
    like: what is alike but for seed and fold, to foretell how long it takes.
    arguments: flags of run.py, but for the folders of runs.
    start: name of the job whose weights it starts from, or None.
    candidates: evaluation: the fine-tuned runs of which the best by validation
      is evaluated.
  """

  name: str
  kind: str
  told: str
  like: str
  arguments: tuple[str, ...]
  start: str | None = None
  candidates: tuple[str, ...] = ()

  @property
  def needs(self) -> tuple[str, ...]:
    """The names of the jobs that come before."""
    return (*self.candidates, *filter(None, [self.start]))


@dataclasses.dataclass(frozen=True)
class Cell:
  """An arm with one fraction of labels, seed, draw of labels, and fold.

  Attributes:
    arm, fraction, seed, draw, fold: which; fold is None without folds.
    pretraining: names of its jobs of pretraining.
    tuned: name of the job of each setting.
    evaluations: name of the job of each evaluation set.
  """

  arm: str
  fraction: str
  seed: int
  draw: int
  fold: str | None
  pretraining: tuple[str, ...]
  tuned: dict[str, str]
  evaluations: dict[str, str]


def plan(study: Study) -> tuple[list[Job], list[Cell]]:
  """Returns every job, each after those that it needs, and every cell.

  Seeds are the outermost order: what is there after a while is whole seeds.
  """
  jobs, cells = {}, []

  def add(*args, **kwargs):
    job = _job(study, *args, **kwargs)
    return jobs.setdefault(job.name, job).name

  for seed in study.seeds:
    for fold in study.folds or (None,):
      for arm in study.arms:
        place = {"seed": seed} | ({} if fold is None else {"fold": fold})
        pretraining = _pretraining(study, arm, place, add)
        for fraction in study.label_fractions:
          for draw in range(study.label_draws):
            cells.append(
              _cell(study, arm, fraction, draw, place, pretraining, add)
            )
  return list(jobs.values()), cells


def _pretraining(study, arm, place, add):
  names = []
  for number, stage in enumerate(arm.stages, start=1):
    names.append(
      add(
        "pretrain",
        f"{arm.name}, stage {number} of {len(arm.stages)}",
        place,
        (
          *stage,
          *_splits(study, place.get("fold")),
          f"--seed={place['seed']}",
          *_published(arm, first=not names),
        ),
        start=names[-1] if names else None,
      )
    )
  return tuple(names)


def _cell(study, arm, fraction, draw, place, pretraining, add):
  fold, seed = place.get("fold"), place["seed"]
  where = {"labels": fraction, **place}
  if study.label_draws > 1:
    where["draw"] = draw
  own = (
    *_splits(study, fold),
    f"--label_fraction={fraction}",
    f"--seed={seed * study.label_draws + draw}",
    *_published(arm, first=not pretraining),
  )
  start = pretraining[-1] if pretraining else None
  tuned = {
    setting: add(
      "finetune",
      f"{arm.name}, {setting}",
      where,
      (*arguments, *own),
      start=start,
    )
    for setting, arguments in arm.settings.items()
  }
  evaluations = {}
  for one in study.sets:
    evaluations[one.name] = add(
      "evaluate",
      f"{arm.name} on {one.name}",
      where,
      (f"--eval_split={one.split or fold}",),
      candidates=tuple(tuned.values()),
      data_dir=one.data_dir,
    )
  return Cell(
    arm.name, fraction, seed, draw, fold, pretraining, tuned, evaluations
  )


def _job(
  study,
  kind,
  what,
  place,
  arguments,
  *,
  start=None,
  candidates=(),
  data_dir=None,
):
  if kind != "evaluate":
    arguments = (_FEW_FILES, *arguments)
  content = [study.data_digest, kind, arguments, start, candidates, data_dir]
  digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:10]
  at = "-".join(f"{key}{value}" for key, value in place.items())
  told = ", ".join(f"{key} {value}" for key, value in place.items())
  mode = "eval" if kind == "evaluate" else kind
  # The study's own data may lie elsewhere tomorrow: they are in no digest.
  folder = data_dir or study.data_dir
  data = [f"--data_dir={folder}"] if folder else []
  return Job(
    f"{kind}/{at}-{digest}",
    kind,
    f"{kind} {what}, {told}",
    f"{kind} {what}",
    (*arguments, *data, f"--mode={mode}"),
    start,
    candidates,
  )


def _splits(study, fold):
  """Tests on a fold, validates on the next one, trains on the others."""
  if fold is None:
    return ()
  folds = study.folds
  validation = folds[(folds.index(fold) + 1) % len(folds)]
  rest = [name for name in folds if name not in (fold, validation)]
  return (f"--train_split={'+'.join(rest)}", f"--eval_split={validation}")


def _published(arm, *, first):
  return (f"--checkpoint={arm.checkpoint}",) if first and arm.checkpoint else ()
