"""Study file: what a study compares, read and checked."""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import os
import re
import shlex

from flags import checks, modes, reader
from flags.problems import UsageError

# What the study sets itself for each run.
_ITS_OWN = (
  *("mode", "model_dir", "checkpoint", "data_dir", "seed", "sweep"),
  *("label_fraction", "study", "study_jobs"),
)
_OF_FOLDS = ("train_split", "eval_split")
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
_RECIPES = {
  "pretrain": "flags/recipes/demo.flags",
  "finetune": "flags/recipes/demo_finetune.flags",
}
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


def read(path, *, data_dir, splits_of, runs):
  """Returns what a study's file says, as plain dicts, lists and values.

  Args:
    path: the file, INI as configparser reads it (docs/study.md).
    data_dir: folder of bag TFRecords that takes the place of the file's.
    splits_of: from such a folder to the names of its splits.
    runs: `tf_micle.runs.folder`, which knows what weights look like.

  Returns:
    The fields of `tf_micle.study.design.Study`; arms and sets as dicts.

  Raises:
    UsageError: with a line for each problem.
  """
  return _File(path, data_dir, splits_of, runs).content()


class _File:
  """A study's file on its way to what it says."""

  def __init__(self, path, data_dir, splits_of, runs):
    self._path, self._runs, self._splits_of = path, runs, splits_of
    self._problems = []
    self._ini = configparser.ConfigParser(
      interpolation=None, default_section="(none)"
    )
    self._ini.optionxform = str  # Names of splits keep their case.
    try:
      with open(path, encoding="utf-8") as file:
        self._ini.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
      text = " ".join(str(error).split())
      raise UsageError(
        [f"Expected --study to be a study's file. Received: {text}"]
      ) from error
    self._data_dir = data_dir or self._get("study", "data_dir") or None
    self._demo = self._get("study", "demo").lower() in ("yes", "true", "1")

  def content(self):
    """Returns the content; raises UsageError with all that is wrong."""
    self._check_names()
    folds = tuple(self._list("study", "folds"))
    common = self._flags("study", "flags", modes.TRAIN, folds)
    shared = {
      mode: common + self._flags(mode, "flags", (mode,), folds)
      for mode in modes.TRAIN
    }
    settings = {
      name: self._flags(f"setting {name}", "flags", ("finetune",), folds)
      for name in self._named("setting")
    } or {"as given": ()}
    arms = [
      self._arm(name, shared, settings, folds) for name in self._named("arm")
    ]
    self._expect(arms, "a section [arm NAME] for each way to compare", "none")
    names = [arm["name"] for arm in arms]
    baseline = self._get("study", "baseline") or (names or [""])[0]
    self._expect(
      not arms or baseline in names,
      f"baseline to be one of the arms {', '.join(names)}",
      f"baseline = {baseline}",
    )
    content = {
      "data_dir": self._data_dir,
      "seeds": self._numbers("seeds", "0", int, lambda n: 0 <= n < 2**31),
      "label_draws": self._numbers("label_draws", "1", int, lambda n: n > 0)[0],
      "label_fractions": tuple(
        f"{share:g}"
        for share in self._numbers(
          "label_fractions", "1", float, lambda share: 0 < share <= 1
        )
      ),
      "folds": folds,
      "baseline": baseline,
      "select_by": self._select_by(arms, shared),
      "arms": arms,
      "sets": self._sets(folds),
    }
    content["data_digest"] = self._check_data(shared, content["sets"], folds)
    if self._problems:
      raise UsageError(self._problems)
    return content

  def _arm(self, name, shared, settings, folds):
    section = f"arm {name}"
    lines = self._get(section, "pretrain").splitlines()
    lines = [line for line in map(str.strip, lines) if line]
    stages = [
      shared["pretrain"]
      + self._checked(section, "pretrain", line, ("pretrain",), folds)
      for line in lines
      if line != "as given"
    ]
    own = self._flags(section, "finetune", ("finetune",), folds)
    tried = self._list(section, "settings") or list(settings)
    unknown = [one for one in tried if one not in settings]
    self._expect(
      not unknown,
      f"settings of [{section}] to be of {', '.join(settings)}",
      ", ".join(unknown),
    )
    checkpoint = self._get(section, "checkpoint") or None
    self._expect(
      checkpoint is None or self._runs.may_be_weights(checkpoint),
      f"checkpoint of [{section}] to be a run or published weights",
      checkpoint,
    )
    return {
      "name": name,
      "stages": tuple(stages),
      "budget": self._budget(stages),
      "checkpoint": checkpoint,
      "settings": {
        one: shared["finetune"] + own + settings[one]
        for one in tried
        if one in settings
      },
    }

  def _budget(self, stages):
    """Returns (steps, pairs) of all stages, None where epochs decide."""
    steps = pairs = 0
    for stage in stages:
      values = self._values("pretrain", stage)
      if values["train_steps"].value is None:
        return None
      steps += values["train_steps"].value
      pairs += values["train_steps"].value * values["train_batch_size"].value
    return steps, pairs

  def _select_by(self, arms, shared):
    """Returns the score that picks a setting, which all of them share."""
    found = {shared["finetune"]} | {
      given for arm in arms for given in arm["settings"].values()
    }
    values = [self._values("finetune", given) for given in found]
    scores = {v["select_by"].value for v in values}
    self._expect(
      len(scores) < 2 and "none" not in scores,
      "one --select_by for all settings, and a score to pick by",
      ", ".join(sorted(scores)),
    )
    return scores.pop() if scores else "mean_auroc"

  def _values(self, mode, given):
    """Returns flags as a run would parse them."""
    recipe = [f"--flagfile={os.path.join(_ROOT, _RECIPES[mode])}"]
    values = reader.fresh()
    # What is wrong is told where the flags stand.
    with contextlib.suppress(UsageError):
      reader.parse(["run.py", *recipe * self._demo, *given], values)
    return values

  def _flags(self, section, key, used_by, folds):
    return self._checked(section, key, self._get(section, key), used_by, folds)

  def _checked(self, section, key, text, used_by, folds):
    """Returns flags as a tuple of arguments; notes what is wrong with them."""
    where = f"[{section}] {key}"
    try:
      given = tuple(shlex.split(text, comments=True))
    except ValueError as error:
      self._expect(False, f"flags in {where}", f"{text} ({error})")
      return ()
    values = reader.fresh()
    try:
      reader.parse(["run.py", *given], values)
    except UsageError as error:
      self._problems += [
        f"{self._path}, {where}: {line}" for line in error.problems
      ]
    used = reader.modes_of_flags()
    direct = {re.split("=", one.lstrip("-"))[0] for one in given}
    for name in sorted(n for n in used if values[n].present):
      own = name in _ITS_OWN or (folds and name in _OF_FOLDS)
      # A recipe may say its mode.
      if own and (name != "mode" or "mode" in direct):
        self._expect(
          False, f"no --{name} in {where}: the study sets it", f"--{name}"
        )
      elif name != "mode" and not set(used_by) <= set(used[name]):
        self._expect(
          False,
          f"flags of --mode={' and --mode='.join(used_by)} in {where}",
          f"--{name}, which is for {', '.join(used[name])}",
        )
      self._problems += [
        f"{self._path}, {where}: {line}"
        for line in checks.out_of_range(name, values[name].value)
      ]
    return given

  def _sets(self, folds):
    """Returns the evaluation sets; with folds the first is all of them."""
    sets = []
    if folds:
      sets.append(_set("folds", _KINDS[0], None))
    elif not self._ini.has_section("evaluate"):
      sets.append(_set("test", _KINDS[0], "test"))
    for name in self._options("evaluate"):
      kind, *more = [
        part.strip() for part in self._get("evaluate", name).split(",")
      ]
      split = more[0] if more else name
      data_dir = more[1] if len(more) > 1 else None
      good = kind in _KINDS and len(more) <= 2 and _NAME.fullmatch(name)
      self._expect(
        good,
        "lines as NAME = in-distribution, or shifted[, SPLIT[, DATA_DIR]] in "
        "[evaluate]",
        f"{name} = {self._get('evaluate', name)}",
      )
      sets.append(_set(name, kind, split, data_dir))
    return sets

  def _check_data(self, shared, sets, folds):
    """Checks folders and splits; returns a digest of the data's description."""
    given = self._values("pretrain", shared["pretrain"])
    dataset = given["dataset"].value
    ways = [self._data_dir, self._demo, dataset]
    self._expect(
      sum(map(bool, ways)) == 1,
      "--data_dir, or one of data_dir, demo = yes, and --dataset in [study]",
      "several" if any(ways) else "none",
    )
    self._expect(
      not folds or len(folds) > 2,
      "three folds or more: to train, to validate, to test",
      ", ".join(folds),
    )
    self._expect(
      len(set(folds)) == len(folds), "different folds", ", ".join(folds)
    )
    wanted = {}
    if self._data_dir:
      wanted[self._data_dir] = list(folds)
    for one in sets:
      folder = one["data_dir"] or self._data_dir
      if folder and one["split"]:
        wanted.setdefault(folder, []).append(one["split"])
    for folder, names in wanted.items():
      self._check_splits(folder, names)
    path = os.path.join(self._data_dir or "", "dataset.json")
    if not (self._data_dir and os.path.isfile(path)):
      return f"demo {self._demo}, dataset {dataset}"
    with open(path, "rb") as file:
      return hashlib.sha256(file.read()).hexdigest()

  def _check_splits(self, folder, names):
    try:
      known = self._splits_of(folder)
    except ValueError as error:  # data.problems.DataError is one.
      self._problems.append(str(error))
      return
    missing = [name for name in names if name not in known]
    self._expect(
      not missing,
      f"splits of {folder}: {', '.join(known)}",
      ", ".join(missing),
    )

  def _numbers(self, key, default, kind, holds):
    texts = self._list("study", key) or default.split()
    try:
      numbers = tuple(map(kind, texts))
      good = all(map(holds, numbers)) and len(set(numbers)) == len(numbers)
    except ValueError:
      good = False
    self._expect(good, f"different numbers in range for {key}", " ".join(texts))
    return numbers if good else (kind(default),)

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
      for key in self._options(section) if known and kind in _KEYS else ():
        self._expect(
          key in _KEYS[kind],
          f"{', '.join(_KEYS[kind])} in [{section}]",
          key,
        )

  def _named(self, kind):
    for section in self._ini.sections():
      first, _, name = section.partition(" ")
      if first == kind and name:
        yield name

  def _options(self, section):
    return self._ini.options(section) if section in self._ini else []

  def _get(self, section, key):
    return self._ini.get(section, key, fallback="").strip()

  def _list(self, section, key):
    return self._get(section, key).replace(",", " ").split()

  def _expect(self, condition, what, received):
    if not condition:
      line = f"{self._path}: Expected {what}. Received: {received}"
      if line not in self._problems:
        self._problems.append(line)


def _set(name, kind, split, data_dir=None):
  return {"name": name, "kind": kind, "split": split, "data_dir": data_dir}
