"""Study file: what a study compares, read and checked."""

from __future__ import annotations

import configparser
import contextlib
import re

from flags import modes, study_data, study_runs
from flags.problems import UsageError

_KINDS = ("in-distribution", "shifted")
_KEYS = {
  "study": (
    *("data_dir", "demo", "seeds", "label_draws", "label_fractions", "folds"),
    *("baseline", "flags"),
  ),
  "pretrain": ("flags",),
  "finetune": ("flags",),
  "setting": ("flags",),
  "arm": ("pretrain", "checkpoint", "finetune", "settings"),
}
_NUMBERS = {
  "seeds": "different whole numbers from 0 on",
  "label_draws": "a whole number from 1 on",
  "label_fractions": "different numbers above 0 and up to 1, such as 0.1",
}
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


def read(path, *, data_dir, describe, runs):
  """Returns what a study's file says, as plain dicts, lists and values.

  Args:
    path: the file, INI as configparser reads it (docs/study.md).
    data_dir: folder of bag TFRecords that takes the place of the file's.
    describe: from such a folder to its `dataset_json.DatasetDescription`.
    runs: `tf_micle.runs.folder`, which knows what weights look like.

  Returns:
    The fields of `tf_micle.study.design.Study`; arms and sets as dicts.

  Raises:
    UsageError: with a line for each problem.
  """
  file = _File(path, data_dir)
  content = file.content(runs)
  file.check_runs(content["arms"], runs)
  data = study_data.StudyData(
    data_dir=content["data_dir"],
    demo=content.pop("demo"),
    datasets=content.pop("datasets"),
    splits=content.pop("splits"),
    folds=content["folds"],
  )
  content["data_digest"] = data.digest()
  found = data.problems(content["sets"], describe)
  problems = [*file.problems, *(f"{path}: {line}" for line in found)]
  if problems:
    raise UsageError(problems)
  return content


class _File:
  """A study's file; `problems` has a line for all that is wrong so far."""

  def __init__(self, path, data_dir):
    self._path, self.problems = path, []
    self._ini = configparser.ConfigParser(
      interpolation=None,
      default_section="(none)",
      inline_comment_prefixes=("#",),
    )
    self._ini.optionxform = str  # Names of splits keep their case.
    try:
      with open(path, encoding="utf-8-sig") as file:
        self._ini.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
      text = " ".join(str(error).split())
      raise UsageError(
        [f"Expected --study to be a study's file. Received: {text}"]
      ) from error
    self._data_dir = data_dir or self._get("study", "data_dir") or None
    demo = self._get("study", "demo").lower() or "no"
    self._demo = self._ini.BOOLEAN_STATES.get(demo, False)
    self._expect(demo in self._ini.BOOLEAN_STATES, "demo = yes, or no", demo)
    self._folds = tuple(self._list("study", "folds"))

  def content(self, runs):
    """Returns the content, less the data's digest."""
    self._check_names()
    both = self._flags("study", "flags", modes.TRAIN)
    self._common = {
      mode: both + self._flags(mode, "flags", (mode,)) for mode in modes.TRAIN
    }
    settings = {
      name: self._flags(f"setting {name}", "flags", ("finetune",))
      for name in self._named("setting")
    }
    settings = settings or {"as given": ()}
    arms = [self._arm(name, settings, runs) for name in self._named("arm")]
    names = [arm["name"] for arm in arms] or ["no section [arm NAME]"]
    baseline = self._get("study", "baseline") or names[0]
    self._expect(
      arms and baseline in names,
      "baseline to be the name of an arm",
      f"baseline = {baseline}; arms: {', '.join(names)}",
    )
    draws = self._numbers("label_draws", "1", int, lambda x: 0 < x < 2**10)
    self._expect(len(draws) == 1, "one number of label_draws", f"{draws}")
    fractions = self._numbers(
      "label_fractions", "1", float, lambda x: 0 < x <= 1
    )
    select_by = self._shared(arms, "select_by")
    self._expect(select_by != "none", "--select_by, a score to pick by", "none")
    self._shared(arms, "unit")
    used = [self._shared(arms, f"{of}_split") for of in ("train", "eval")]
    return {
      "data_dir": self._data_dir,
      "seeds": self._numbers("seeds", "0", int, lambda x: 0 <= x < 2**20),
      "label_draws": draws[0],
      "label_fractions": tuple(f"{share:g}" for share in fractions),
      "folds": self._folds,
      "baseline": baseline,
      "select_by": select_by,
      "arms": arms,
      "sets": self._sets(),
      "demo": self._demo,
      "datasets": tuple(
        self._value(mode, self._common[mode], "dataset") for mode in modes.TRAIN
      ),
      "splits": "+".join(used).split("+"),
    }

  def check_runs(self, arms, runs):
    """Notes flags that do not go together, unless some are wrong already."""
    if self.problems:
      return
    for arm in arms:
      stages = (None, *arm["stages"])
      tries = [
        ("pretrain", "pretrain", *two) for two in zip(stages[1:], stages)
      ]
      for setting, given in arm["settings"].items():
        tries.append(("finetune", f"setting {setting}", given, stages[-1]))
      starts = bool(arm["stages"] or arm["checkpoint"])
      words = {"demo": self._demo, "starts": starts, "runs": runs}
      for mode, what, given, before in tries:
        words["before"] = before
        self._add(
          f"[arm {arm['name']}] {what}",
          study_runs.problems(mode, given, **words),
        )

  def _arm(self, name, settings, runs):
    section = f"arm {name}"
    lines = self._get(section, "pretrain").splitlines()
    stages = tuple(
      self._common["pretrain"]
      + self._checked(f"[{section}] pretrain", line, ("pretrain",))
      for line in filter(None, map(str.strip, lines))
    )
    lengths = {
      any(
        flag.startswith(("--train_steps", "--train_epochs")) for flag in stage
      )
      for stage in stages
    }
    self._expect(
      len(lengths) < 2,
      f"a stage a line for pretrain of [{section}], with --train_steps or "
      "--train_epochs in each or in none",
      f"{len(stages)} lines: {' / '.join(map(str.strip, lines))}",
    )
    own = self._flags(section, "finetune", ("finetune",))
    tried = self._list(section, "settings") or list(settings)
    what = f"settings of [{section}] to be of {', '.join(settings)}"
    self._expect(set(tried) <= set(settings), what, ", ".join(tried))
    start = self._get(section, "checkpoint") or None
    self._expect(
      start is None or runs.may_be_weights(start),
      f"checkpoint of [{section}] to be a run or published weights",
      start,
    )
    return {
      "name": name,
      "stages": stages,
      "budget": study_runs.budget(stages, demo=self._demo),
      "checkpoint": start,
      "settings": {
        one: self._common["finetune"] + settings.get(one, ()) + own
        for one in tried
      },
    }

  def _shared(self, arms, name):
    """Returns a flag's value in fine-tuning, which all runs must share."""
    found = {given for arm in arms for given in arm["settings"].values()}
    found = found or {self._common["finetune"]}
    values = {str(self._value("finetune", given, name)) for given in found}
    self._expect(
      len(values) == 1,
      f"one --{name} for all settings and arms, whose scores are compared",
      ", ".join(sorted(values)),
    )
    return min(values)

  def _value(self, mode, given, name):
    return study_runs.values_of(mode, given, demo=self._demo)[name].value

  def _flags(self, section, key, used_by):
    text = self._get(section, key)
    return self._checked(f"[{section}] {key}", text, used_by)

  def _checked(self, where, text, used_by):
    """Returns flags as a tuple of arguments; notes what is wrong with them."""
    given, wrong = study_runs.read(text, used_by, folds=bool(self._folds))
    self._add(where, wrong)
    return given

  def _sets(self):
    """Returns the evaluation sets; with folds the first is all of them."""
    lines = self._options("evaluate")
    sets = [["folds", _KINDS[0], None, None]] if self._folds else []
    if not sets and not lines:
      sets = [["test", _KINDS[0], "test", None]]
    for name in lines:
      text = self._get("evaluate", name)
      kind, *more = map(str.strip, text.split(","))
      self._expect(
        kind in _KINDS and len(more) < 3 and _NAME.fullmatch(name),
        "NAME = in-distribution, or shifted[, SPLIT[, DATA_DIR]] in [evaluate]",
        f"{name} = {text}",
      )
      split, folder = [*more, None, None][:2]
      self._expect(
        not self._folds
        or (
          name != sets[0][0] and (folder or (split or name) not in self._folds)
        ),
        "another name than folds, and no fold as the split: most runs were "
        "trained on it",
        f"{name} = {text}",
      )
      sets.append([name, kind, split or name, folder])
    names = ("name", "kind", "split", "data_dir", "data_digest")
    return [
      dict(zip(names, (*one, study_data.digest_of(one[3])))) for one in sets
    ]

  def _numbers(self, key, default, kind, holds):
    """Returns the numbers of a key in [study], all different."""
    texts = self._list("study", key) or [default]
    with contextlib.suppress(ValueError):
      found = tuple(map(kind, texts))
      if all(map(holds, found)) and len(set(found)) == len(found):
        return found
    self._expect(False, f"{_NUMBERS[key]} for {key}", " ".join(texts))
    return (kind(default),)

  def _check_names(self):
    """Notes sections and keys that are not known, and names that cannot be."""
    for section in self._ini.sections():
      kind, _, name = section.partition(" ")
      named = kind in ("setting", "arm")
      known = kind in (*_KEYS, "evaluate") and named == bool(name)
      self._expect(
        known and (not named or _NAME.fullmatch(name)),
        "sections [study], [pretrain], [finetune], [evaluate], [setting NAME] "
        "and [arm NAME]",
        f"[{section}]",
      )
      keys = _KEYS.get(kind, self._options(section))
      for key in self._options(section):
        what = f"{', '.join(keys)} in [{section}]"
        self._expect(key in keys, what, key)

  def _named(self, kind):
    parts = (section.partition(" ") for section in self._ini.sections())
    return [name for first, _, name in parts if first == kind and name]

  def _options(self, section):
    return self._ini.options(section) if section in self._ini else []

  def _get(self, section, key):
    return self._ini.get(section, key, fallback="").strip()

  def _list(self, section, key):
    return self._get(section, key).replace(",", " ").split()

  def _expect(self, condition, what, received):
    line = f"{self._path}: Expected {what}. Received: {received}"
    if not condition and line not in self.problems:
      self.problems.append(line)

  def _add(self, where, lines):
    self.problems += [f"{self._path}, {where}: {line}" for line in lines]
