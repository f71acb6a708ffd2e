"""Design of a study: arms, settings, seeds, folds, evaluation sets."""

from __future__ import annotations

import dataclasses

IN_DISTRIBUTION, SHIFTED = "in-distribution", "shifted"


@dataclasses.dataclass(frozen=True)
class Arm:
  """One way to come to an encoder, and what is tried to fine-tune it.

  Attributes:
    name: of the arm.
    stages: arguments of each pretraining, in order; each stage starts from the
      weights of the one before. None: fine-tuning starts at once.
    budget: steps and views of all stages; None where epochs are given,
      whose length the data decide.
    checkpoint: published weights that the first of all starts from, or None.
    settings: arguments of fine-tuning by the setting's name.
  """

  name: str
  stages: tuple[tuple[str, ...], ...]
  budget: tuple[int, int] | None
  checkpoint: str | None
  settings: dict[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
  """A set that the picked runs are evaluated on.

  Attributes:
    name: of the set.
    kind: `IN_DISTRIBUTION` or `SHIFTED`.
    split: of the data; None: the fold that a run did not see.
    data_dir: of other data; None: those that are trained on.
    data_digest: of their description; "" where there is none.
  """

  name: str
  kind: str
  split: str | None
  data_dir: str | None = None
  data_digest: str = ""


@dataclasses.dataclass(frozen=True)
class Study:
  """What a study's file says, and where its data are.

  Attributes:
    data_dir: folder of bag TFRecords; None: what the flags say, or the demo.
    data_digest: of the data's description; other data are other jobs.
    seeds: of pretraining.
    label_draws: seeds of fine-tuning for each of pretraining; with less than
      all labels each draws its own patients.
    label_fractions: as text, in (0, 1].
    folds: names of splits, each tested once; () for one fixed split.
    baseline: name of the arm that the others are compared with.
    select_by: score of validation that picks a setting.
    arms: in the order of the tables.
    sets: what is evaluated on.
  """

  data_dir: str | None
  data_digest: str
  seeds: tuple[int, ...]
  label_draws: int
  label_fractions: tuple[str, ...]
  folds: tuple[str, ...]
  baseline: str
  select_by: str
  arms: tuple[Arm, ...]
  sets: tuple[EvaluationSet, ...]


def of(content: dict) -> Study:
  """Returns a `Study` of plain dicts, as the reader of its file gives them."""
  parts = {
    "arms": tuple(Arm(**arm) for arm in content["arms"]),
    "sets": tuple(EvaluationSet(**one) for one in content["sets"]),
  }
  return Study(**{**content, **parts})
