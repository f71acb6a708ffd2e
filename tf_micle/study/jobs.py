"""Jobs of a study: each a run of run.py, and what it waits for."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
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

  folds = study.folds or (None,)
  for seed, fold, arm in itertools.product(study.seeds, folds, study.arms):
    place = {"seed": seed} | ({} if fold is None else {"fold": fold})
    names = []
    for number, stage in enumerate(arm.stages, start=1):
      what = f"{arm.name}, stage {number} of {len(arm.stages)}"
      start = names[-1] if names else None
      own = (f"--seed={seed}", *_published(arm, start))
      given = (*stage, *_splits(study, fold), *own)
      names.append(add("pretrain", what, place, given, start=start))
    draws = range(study.label_draws)
    for fraction, draw in itertools.product(study.label_fractions, draws):
      of_cell = _after(study, arm, fraction, draw, place, names, add)
      cells.append(Cell(arm.name, fraction, seed, draw, fold, *of_cell))
  return list(jobs.values()), cells


def _after(study, arm, fraction, draw, place, pretraining, add):
  """Adds a cell's jobs; returns the last three attributes of `Cell`."""
  fold, start = place.get("fold"), pretraining[-1] if pretraining else None
  where = {"labels": fraction, **place}
  if study.label_draws > 1:
    where["draw"] = draw
  own = (
    *_splits(study, fold),
    f"--label_fraction={fraction}",
    f"--seed={place['seed'] * study.label_draws + draw}",
    *_published(arm, start),
  )
  tuned = {}
  for setting, given in arm.settings.items():
    what, given = f"{arm.name}, {setting}", (*given, *own)
    tuned[setting] = add("finetune", what, where, given, start=start)
  evaluations = {
    one.name: add(
      "evaluate",
      f"{arm.name} on {one.name}",
      where,
      (f"--eval_split={one.split or fold}",),
      candidates=tuple(tuned.values()),
      data_dir=one.data_dir,
      data_digest=one.data_digest,
    )
    for one in study.sets
  }
  return tuple(pretraining), tuned, evaluations


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
  data_digest="",
):
  if kind != "evaluate":
    arguments = (_FEW_FILES, *arguments)
  content = [study.data_digest, kind, arguments, start, candidates, data_dir]
  content += [data_digest] * bool(data_digest)
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


def _published(arm, start):
  """The weights that an arm's first run starts from."""
  return (f"--checkpoint={arm.checkpoint}",) * (
    not start and bool(arm.checkpoint)
  )
