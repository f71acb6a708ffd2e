"""A study: its file, its jobs, what it resumes, and what it says."""

import csv
import dataclasses
import json
import os
import pathlib
import re
import signal
import sys
import types

import numpy as np
import pytest
import tiny
from sklearn import metrics

from flags import study as study_file
from tf_micle.evaluation.predictions import Predictions
from tf_micle.modes import study as study_mode
from tf_micle.runs import folder as run_folder
from tf_micle.study import accounts, design, findings, jobs, results

# Stands for run.py. Validation prefers `frozen`, the test set `all`.
STUB = """
import json, os, pathlib, signal, sys, time, zlib
flags = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[2:])
folder = pathlib.Path(flags["model_dir"])
calls = pathlib.Path(sys.argv[1])
with open(calls, "a") as file: file.write(json.dumps(flags) + "\\n")
order = calls.with_suffix(".order")
asked = order.read_text() if order.exists() else ""
if asked and asked.split()[0] == flags["mode"]:
  order.unlink()
  print("a reason")
  if asked.split()[1] == "fail": sys.exit(1)
  os.kill(os.getppid(), signal.SIGTERM)
  time.sleep(60)
frozen = "fine_tune_after_block" in flags
if flags["mode"] == "finetune":
  folder.mkdir(parents=True)
  (folder / "flags.json").write_text(json.dumps(
    {"select_by": "mean_auroc", "frozen": frozen}))
  (folder / "metrics.jsonl").write_text(json.dumps(
    {"step": 1, "validation_mean_auroc": 0.9 if frozen else 0.8}) + "\\n")
if flags["mode"] == "eval":
  split = flags["eval_split"]
  here = folder / "eval" / split
  here.mkdir(parents=True)
  rows = ["patient_id,bag_id,row,label,probability_a,probability_b"]
  for k in range(8):
    p = (zlib.crc32(f"{folder.name}{split}{k}".encode()) % 99 + 1) / 100
    rows.append(f"{split}{k // 2},b,{k},{'ab'[k // 2 % 2]},{p},{1 - p}")
  (here / "predictions.csv").write_text("\\n".join(rows) + "\\n")
  (here / "metrics.json").write_text(json.dumps({"task": "multi_class",
    "class_names": ["a", "b"], "unit": "image", "image": {"items": 8}}))
  print(f"In {here}: report.html, metrics.json, predictions.csv")
"""

FILE = """
[study]
folds = 1 2 3
seeds = 0 1
label_fractions = 0.1 1  # few, and all
baseline = simclr
[evaluate]
external = shifted
[pretrain]
flags = --train_batch_size=8
[setting all]
[setting frozen]
flags = --fine_tune_after_block=4
[arm scratch]
settings = all
[arm simclr]
pretrain = --train_steps=6
[arm both]
pretrain =
  --train_steps=6
  # MICLe from SimCLR
  --train_steps=3 --use_micle
"""


STUDIES = pathlib.Path(__file__).parent.parent / "benchmarks" / "studies"


def read(
  tmp_path, text, splits=("1", "2", "3", "external"), data_dir="RECORDS"
):
  path = tmp_path / "a.study"
  path.write_text(text)
  return study_file.read(
    str(path),
    data_dir=data_dir,
    describe=lambda folder: types.SimpleNamespace(splits=splits),
    runs=run_folder,
  )


def small(tmp_path, **changes):
  """Returns one seed, no folds and two arms of FILE."""
  content = read(tmp_path, FILE)
  content |= {"seeds": (0,), "folds": (), "label_fractions": ("0.1",)}
  content["arms"] = content["arms"][:2]
  content["sets"] = [
    {"name": "test", "kind": "in-distribution", "split": "test"}
  ]
  return design.of(content | changes)


class Stub:
  """Runs a study with STUB in place of run.py."""

  def __init__(self, tmp_path):
    self._calls, self.folder = tmp_path / "calls", str(tmp_path / "out")
    script = tmp_path / "stub.py"
    script.write_text(STUB)
    self._program = [sys.executable, str(script), str(self._calls)]
    self._seen = 0

  def run(self, study, *, order="", at_once=1):
    """Returns the outcome and the calls since the last one."""
    if order:
      self._calls.with_suffix(".order").write_text(order)
    outcome, _ = study_mode.run(
      study, self._program, self.folder, at_once=at_once
    )
    lines = self._calls.read_text().splitlines()
    new, self._seen = lines[self._seen :], len(lines)
    return outcome, [json.loads(line) for line in new]


@pytest.fixture
def stub(tmp_path, monkeypatch):
  monkeypatch.setattr(results, "SAMPLES", 20)
  return Stub(tmp_path)


def test_all_problems_of_a_file_are_told_at_once(tmp_path):
  text = """
[study]
folds = 1 9
seeds = 0 x
label_fractions = 2
baseline = nobody
flags = --seed=3 --image_sise=1 --train_steps=-3
color = red
[evaluate]
external = elsewhere
again = in-distribution, 9
[setting frozen]
flags = --use_micle
[sett x]
[arm simclr]
pretrain = --fine_tune_after_block=4 --train_split=1
settings = frozen cold
checkpoint = /nowhere
finetune = --select_by=none
"""
  with pytest.raises(ValueError, match="color") as caught:
    read(tmp_path, text)
  for what in (
    *("x for seeds", "image_sise", "no --seed", "--train_steps=-3", "nobody"),
    *("external = elsewhere", "--use_micle, for pretrain", "[sett x]"),
    *("on it. Received: again = in-distribution, 9",),
    *("--fine_tune_after_block, for finetune", "no --train_split"),
    *(
      "cold",
      "/nowhere",
      "a score to pick by",
      "three different folds",
      "Received: 9",
    ),
  ):
    named = what.replace("x for seeds", "0 x")
    assert named in str(caught.value), what
  with pytest.raises(ValueError, match="no section headers"):
    read(tmp_path, "seeds = 1\n")


def test_flags_that_do_not_go_together_are_told_before_any_run(tmp_path):
  text = """
[study]
label_draws = 1
[setting frozen]
flags = --fine_tune_after_block=4 --encoder_rate=0.1
[arm mixed]
pretrain =
  --train_steps=3 --use_micle
  --train_steps=3 --train_epochs=4
"""
  with pytest.raises(ValueError, match="--train_epochs") as caught:
    read(tmp_path, text, splits=("test",))
  assert "[arm mixed] setting frozen: Expected --fine_tune_after_block" in str(
    caught.value
  )
  with pytest.raises(ValueError, match="one number of label_draws"):
    read(tmp_path, text.replace("label_draws = 1", "label_draws = 1 2"))


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    (
      "pretrain =\n  --train_steps=3\n  --use_micle --train_batch_size=4",
      "in each or in none",
    ),
    ("finetune = --unit=bag\n[arm y]", "one --unit for all"),
    ("finetune = --train_split=train+test", "one --train_split for all"),
    ("finetune = --eval_split=test", "no run is trained on or picked by"),
    ("finetune = --select_by=none", "a score to pick by"),
    (
      "pretrain = --resnet_depth=18\nfinetune = --resnet_depth=50",
      "weights to start from, --resnet_depth=18. Received: --resnet_depth=50",
    ),
  ],
)
def test_what_cannot_be_compared_is_told_before_any_run(
  tmp_path, text, expected
):
  more = "[arm z]\n" * ("for all" in expected)
  with pytest.raises(ValueError, match=re.escape(expected)):
    read(tmp_path, f"[arm x]\n{text}\n{more}", ("train", "validation", "test"))
  with pytest.raises(ValueError, match=r"Received: train, validation \(or are"):
    read(tmp_path, "[arm x]", splits=("1", "2", "test"))


def test_an_arms_own_flags_come_last(tmp_path):
  text = "[setting a]\nflags=--learning_rate=1\n[arm x]\nfinetune="
  (arm,) = read(
    tmp_path, f"{text}--learning_rate=2", ("train", "validation", "test")
  )["arms"]
  assert arm["settings"]["a"] == ("--learning_rate=1", "--learning_rate=2")


def test_a_flag_file_counts_by_its_lines(tmp_path):
  (tmp_path / "own.flags").write_text("--mode=pretrain\n--train_epochs=3\n")
  text = f"""
[study]
demo = yes
[arm micle]
pretrain = --flagfile={tmp_path}/own.flags --use_micle
"""
  (arm,) = read(tmp_path, "\ufeff" + text.strip(), data_dir=None)["arms"]
  assert arm["stages"][0][1:] == ("--train_epochs=3", "--use_micle")
  # The demo's recipe has steps, which epochs take the place of.
  assert arm["budget"] is None


def test_folds_share_no_patients_and_equal_stages_are_run_once(tmp_path):
  study = design.of(read(tmp_path, FILE))
  planned, cells = jobs.plan(study)
  kinds = [job.kind for job in planned]
  # Three arms; the first stage of `both` is `simclr`.
  assert kinds.count("pretrain") == 2 * 3 * 2
  assert kinds.count("finetune") == 2 * 3 * 2 * 5
  # The folds' own and the external set.
  assert kinds.count("evaluate") == 2 * 3 * 2 * 3 * 2
  before = set()
  for job in planned:
    assert before.issuperset(job.needs)
    before.add(job.name)
  # A study of yesterday resumes: names do not change with the program.
  assert planned[0].name == "finetune/labels0.1-seed0-fold1-42c934b212"
  by_name = {job.name: job for job in planned}
  for cell in cells:
    tested = by_name[cell.evaluations["folds"]].arguments[0]
    assert tested == f"--eval_split={cell.fold}"
    for name in (*cell.pretraining, *cell.tuned.values()):
      flags = dict(a.split("=") for a in by_name[name].arguments if "=" in a)
      parts = flags["--train_split"].split("+")
      assert sorted([*parts, flags["--eval_split"], cell.fold]) == [*"123"]


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.study")), ids=str)
def test_the_studies_of_benchmarks_compare_like_with_like(
  path, tmp_path, monkeypatch
):
  monkeypatch.chdir(STUDIES.parent.parent)
  text = path.read_text().replace("resnet50.h5", "README.md")
  data_dir = None if "demo = yes" in text else "RECORDS"
  splits = (*"12345", "train", "validation", "test")
  content = read(tmp_path, text, splits, data_dir)
  text = accounts.budget_text(design.of(content))
  assert text.startswith(("Equal", "No arm")), text


def test_only_what_a_changed_flag_touches_is_run_again(tmp_path):
  names = [
    {job.name: job.kind for job in jobs.plan(design.of(content))[0]}
    for content in (
      read(tmp_path, FILE),
      read(tmp_path, FILE.replace("block=4", "block=3")),
    )
  ]
  new = [kind for name, kind in names[1].items() if name not in names[0]]
  assert set(new) == {"finetune", "evaluate"}
  assert new.count("finetune") == 2 * 3 * 2 * 2


def test_budgets_that_differ_are_told(tmp_path):
  study = design.of(read(tmp_path, FILE))
  text = accounts.budget_text(study)
  assert "UNEQUAL" in text
  assert "both 9 steps, 144 views" in text
  even = FILE.replace("  --train_steps=6", "  --train_steps=3")
  text = accounts.budget_text(design.of(read(tmp_path, even)))
  assert text == (
    "Equal budgets: each arm is pretrained for 6 steps, 96 views."
  )
  epochs = FILE.replace("--train_steps=3", "--train_epochs=3")
  text = accounts.budget_text(design.of(read(tmp_path, epochs)))
  assert "NOT KNOWN" in text


def test_validation_picks_and_the_test_set_is_looked_at_once(tmp_path, stub):
  outcome, calls = stub.run(small(tmp_path))
  assert outcome == "done"
  evaluated = [c for c in calls if c["mode"] == "eval"]
  assert len(evaluated) == 2
  frozen = [run_folder.read_flags(c["model_dir"])["frozen"] for c in evaluated]
  assert frozen == [False, True]  # scratch has `all` only.
  text = pathlib.Path(stub.folder, "study.md").read_text()
  assert "| simclr | all | 0.800 | 0 of 1 |" in text
  assert "| simclr | frozen | 0.900 | 1 of 1 |" in text
  assert "Equal budgets" in text
  page = pathlib.Path(stub.folder, "study.html").read_text()
  assert "http" not in page.replace("http-equiv", "").replace(
    "http://www.w3.org", ""
  )
  with open(os.path.join(stub.folder, "study.csv")) as file:
    rows = list(csv.DictReader(file))
  assert {row["arm"] for row in rows} == {"scratch", "simclr"}
  assert all(row["patients"] == "4" for row in rows)


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_stopped_study_goes_on_where_it_was(tmp_path, stub, at_once):
  study = small(tmp_path)
  before = signal.getsignal(signal.SIGTERM)
  outcome, first = stub.run(study, order="eval stop", at_once=at_once)
  assert outcome == "stopped"
  assert signal.getsignal(signal.SIGTERM) is before
  assert not os.path.exists(os.path.join(stub.folder, "study.md"))
  # As a kill cuts a line off.
  with open(os.path.join(stub.folder, "jobs.jsonl"), "a") as file:
    file.write('{"name": "pret')
  outcome, second = stub.run(study, at_once=at_once)
  assert outcome == "done"
  modes = [call["mode"] for call in first + second]
  # The one that was stopped is begun twice.
  assert sorted(modes) == ["eval"] * 3 + ["finetune"] * 3 + ["pretrain"]
  assert stub.run(study) == ("done", [])


def test_a_failed_job_is_told_and_the_others_go_on(tmp_path, stub, caplog):
  study = small(tmp_path)
  outcome, calls = stub.run(study, order="pretrain fail")
  assert outcome == "failed"
  assert [c["mode"] for c in calls] == ["finetune", "eval", "pretrain"]
  assert "a reason" in caplog.text
  assert "3 jobs are not run" in caplog.text
  page = pathlib.Path(stub.folder, "study.md")
  assert "- INCOMPLETE: 4 of 6 jobs not done." in page.read_text()
  outcome, calls = stub.run(study)
  assert (outcome, len(calls)) == ("done", 4)
  assert "INCOMPLETE" not in page.read_text()


def drawn(seed, splits):
  """Returns predictions of 5 patients a split, 1 to 4 images each."""
  rng = np.random.default_rng(seed)
  parts = []
  for split in splits:
    of = np.repeat(np.arange(5), [1, 2, 3, 4, 2])
    truth = (of + split) % 3
    p = rng.dirichlet(np.ones(3), len(of)) + 0.3 * np.eye(3)[truth]
    parts.append(
      Predictions(
        "multi_class",
        ("a", "b", "c"),
        "image",
        [f"{split}-{one}" for one in of],
        ["bag"] * len(of),
        [f"{split}.{k}" for k in range(len(of))],
        truth,
        probabilities=p / p.sum(axis=1, keepdims=True),
      )
    )
  return parts


def test_scores_over_folds_and_paired_differences_against_an_oracle(
  monkeypatch,
):
  monkeypatch.setattr(results, "SAMPLES", 15)
  runs = [
    {run: drawn(seed, (0, 1, 2)) for run, seed in zip([(0, 0), (1, 0)], seeds)}
    for seeds in ((1, 2), (3, 4))
  ]
  arms = list(map(results.scored, runs))

  def naive(parts, chosen, score):
    """Copies the chosen patients' images, one after the other."""
    patient = np.concatenate([p.patient_id for p in parts])
    truth = np.concatenate([p.labels for p in parts])
    probability = np.concatenate([p.probabilities for p in parts])
    of = [np.flatnonzero(patient == one) for one in chosen]
    if score[0] == "patient":
      truth = np.array([truth[k[0]] for k in of])
      probability = np.array([probability[k].mean(axis=0) for k in of])
    else:
      truth, probability = (
        truth[np.concatenate(of)],
        probability[np.concatenate(of)],
      )
    if score[1] == "top1":
      return np.mean(probability.argmax(axis=1) == truth)
    fold = np.array([one[0] for one in chosen])
    if score[0] == "item":
      fold = np.repeat(fold, list(map(len, of)))
    of_classes = []
    for c in range(3):
      of_folds = [
        (truth[fold == f] == c, probability[fold == f, c]) for f in "012"
      ]
      of_classes.append(
        np.mean(
          [
            metrics.roc_auc_score(*two)
            for two in of_folds
            if len({*two[0]}) > 1
          ]
        )
      )
    return np.mean(of_classes)

  patients = np.unique(np.concatenate([p.patient_id for p in runs[0][0, 0]]))
  rng = np.random.default_rng(0)
  draws = [patients[rng.integers(15, size=15)] for _ in range(15)]
  for score in results.SCORES:
    points = [
      [naive(parts, patients, score) for parts in arm.values()] for arm in runs
    ]
    samples = np.array(
      [
        [[naive(parts, d, score) for d in draws] for parts in arm.values()]
        for arm in runs
      ]
    )  # arms, runs, draws
    found = results.summary(arms[0], score)
    assert found.value == pytest.approx(np.mean(points[0]))
    assert found.spread == pytest.approx((min(points[0]), max(points[0])))
    ends = np.quantile(samples[0].mean(axis=0), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    gap = results.difference(arms[1], arms[0], score)
    assert gap.value == pytest.approx(np.mean(points[1]) - np.mean(points[0]))
    apart = (samples[1] - samples[0]).mean(axis=0)
    ends = np.quantile(apart, [0.025, 0.975])
    assert (gap.low, gap.high) == pytest.approx(tuple(ends))
    sure = "does not" in findings.verdict(gap.entry)
    assert sure == (ends[0] > 0 or ends[1] < 0)


def test_a_shift_of_a_folds_scores_is_no_difference():
  """Models of two folds need not agree on what a score of 0.5 means."""
  folds = drawn(1, (0, 1, 2))
  bent = [
    dataclasses.replace(one, probabilities=one.probabilities ** (k + 1))
    for k, one in enumerate(folds)
  ]
  arms = [results.scored({0: parts}) for parts in (folds, bent)]
  gap = results.difference(*arms, ("item", "mean_auroc"))
  assert (gap.value, gap.low, gap.high) == (0, 0, 0)


def test_a_difference_is_only_claimed_where_its_interval_leaves_0_out(tmp_path):
  study = small(tmp_path)

  def arm(value, width):
    draws, key = value + np.linspace(-width, width, 40), results.SCORES[0]
    of_run = [{key: {(0, 0): found}} for found in (value, draws)]
    return results.Scored(*of_run, 10, 20, "image")

  def told(ours, theirs):
    keys = ("test", "0.1")
    found = {(*keys, "simclr"): theirs, (*keys, "scratch"): ours}
    (text,) = findings.sentences(study, found)
    return text

  assert (
    "scratch is highest in top-1 per image, 0.800; scratch minus simclr is "
    "+0.300, and its 95% interval, "
  ) in told(arm(0.8, 0.01), arm(0.5, 0.02))
  assert "does not contain 0." in told(arm(0.8, 0.01), arm(0.5, 0.02))
  text = told(arm(0.8, 0.1), arm(0.75, 0.3))
  assert "contains 0: no difference is shown" in text
  assert "simclr is highest" in told(arm(0.4, 0.1), arm(0.5, 0.1))
  assert "scratch minus simclr is −0.100" in told(arm(0.4, 0.1), arm(0.5, 0.1))
  # As where all patients of a set have one class, or there is one patient.
  assert "is not defined here" in told(arm(np.nan, 0), arm(np.nan, 0))
  assert "+0.300, which has no interval" in told(
    arm(0.8, np.nan), arm(0.5, np.nan)
  )


def test_a_tiny_study_from_the_command_line(tmp_path, demo_records, capfd):
  path = tmp_path / "tiny.study"
  shape = "--resnet_depth=18 --width_multiplier=0.0625 --image_size=16"
  path.write_text(f"""
[study]
flags = {shape} --train_batch_size=4 --train_steps=1
[arm micle]
pretrain = --use_micle --proj_out_dim=8 --nolineareval_while_pretraining
""")
  out = tmp_path / "out"
  status = tiny.command(
    mode="study",
    study=str(path),
    data_dir=demo_records,
    model_dir=str(out),
  )
  assert status == 0, capfd.readouterr().err
  assert "there is nothing to compare it with" in capfd.readouterr().out
  text = (out / "study.md").read_text()
  assert "test (in-distribution), 100% of the labels: 3 patients" in text
  assert "Equal budgets: each arm is pretrained for 1 step, 8 views" in text
