"""`run.py --mode=finetune` as its user sees it, on small data sets."""

import json
import logging
import re

import numpy as np
import pytest
import tensorflow as tf
import tiny
from build_site import Site

import run
from tf_micle.evaluation import scoring
from tf_micle.runs import run_log, selection, trained_on

SHAPE = dict.fromkeys(
  ["resnet_depth", "width_multiplier", "image_size", "proj_out_dim"]
)


@pytest.fixture(scope="module")
def pretrained(demo_records, tmp_path_factory):
  folder = tmp_path_factory.mktemp("pretrained") / "run"
  assert tiny.command(data_dir=demo_records, model_dir=folder) == run.DONE
  return folder


@pytest.fixture
def finetune(demo_records, tmp_path):
  """Fine-tunes into `tmp_path / name`; returns the status."""

  def go(name="tuned", **changes):
    return tiny.command(
      **{
        "mode": "finetune",
        "optimizer": "momentum",
        "encoder_rate": 1,
        "linear_probe_steps": 0,
        "data_dir": demo_records,
        "model_dir": tmp_path / name,
        "train_steps": 4,
        "checkpoint_steps": 2,
        **changes,
      }
    )

  return go


def weights(folder):
  reader = tf.train.load_checkpoint(str(folder))
  return {
    key: reader.get_tensor(key)
    for key in reader.get_variable_to_shape_map()
    if not key.startswith("_CHECKPOINTABLE") and "save_counter" not in key
  }


def assert_same(one, other):
  assert one.keys() == other.keys()
  for key, value in one.items():
    np.testing.assert_array_equal(other[key], value, err_msg=key)


def test_a_tuned_run_leaves_what_the_design_says(
  finetune, pretrained, tmp_path, caplog, capsys, monkeypatch
):
  validated, passes = scoring.validated, []

  def counted(*args, **kwargs):
    passes.append(args)
    return validated(*args, **kwargs)

  monkeypatch.setattr(scoring, "validated", counted)
  with caplog.at_level(logging.INFO):
    assert finetune(checkpoint=pretrained, label_fraction=0.5, **SHAPE) == 0
  assert re.search(r"starts from (\d+) of \1 variables", caplog.text)
  assert "--mode=eval --eval_split=test" in capsys.readouterr().out
  rows = run_log.read(tmp_path / "tuned")
  assert [row["step"] for row in rows] == [1, 2, 3, 4]
  assert {"loss", "supervised_loss", "accuracy", "learning_rate"} <= set(
    rows[0]
  )
  scored = [row["step"] for row in rows if "validation_mean_auroc" in row]
  assert scored == [2, 4]
  best = selection.best(rows, "mean_auroc")["step"]
  newest = tf.train.latest_checkpoint(str(tmp_path / "tuned" / "best"))
  assert newest.endswith(f"ckpt-{best}")
  # Operating points take the last validation's predictions where it is best.
  assert len(passes) == 2 + (best != 4)
  sets = trained_on.read(str(tmp_path / "tuned"))
  assert [one.stage for one in sets] == ["pretrain", "finetune", "select"]
  assert set(sets[1].patients) < set(sets[0].patients)
  # The network's flags are those of the run that it starts from.
  values = json.loads((tmp_path / "tuned" / "flags.json").read_text())
  assert values["resnet_depth"] == 18
  assert values["image_size"] == tiny.FLAGS["image_size"]
  assert (tmp_path / "tuned" / "training_views.png").exists()


def test_the_encoder_is_the_pretrained_one(finetune, pretrained, tmp_path):
  arguments = {"checkpoint": pretrained, "fine_tune_after_block": 4}
  assert finetune(**arguments, select_by="none") == run.DONE
  before = weights(pretrained / "checkpoints")
  after = weights(tmp_path / "tuned" / "checkpoints")
  encoder = [key for key in after if key.startswith("encoder")]
  assert len(encoder) > 60
  for key in encoder:
    np.testing.assert_array_equal(after[key], before[key], err_msg=key)
  assert not (tmp_path / "tuned" / "best").exists()


def test_a_stopped_run_goes_on_to_the_same_weights_and_the_same_best(
  finetune, tmp_path
):
  arguments = {"label_fraction": 0.5, "train_steps": 6}
  assert finetune("whole", **arguments) == run.DONE
  assert finetune("parts", **arguments) == run.DONE
  folder = tmp_path / "parts" / "checkpoints"
  for path in [*folder.glob("ckpt-6*"), *folder.glob("ckpt-4*")]:
    path.unlink()
  (folder / "checkpoint").write_text('model_checkpoint_path: "ckpt-2"\n')
  assert finetune("parts", **arguments) == run.DONE
  for name in ("checkpoints", "best"):
    assert_same(
      weights(tmp_path / "whole" / name), weights(tmp_path / "parts" / name)
    )
  assert finetune("parts", label_fraction=0.25, train_steps=6) == run.BAD_USE


def test_a_checkpoint_that_does_not_match_is_refused(
  finetune, pretrained, tmp_path, caplog, capsys
):
  start = {"checkpoint": pretrained, "train_steps": 0}
  assert finetune("wide", width_multiplier=0.125, **start) == run.BAD_USE
  assert "Received: --width_multiplier=0.125" in capsys.readouterr().err
  assert not (tmp_path / "wide").exists()
  # The stem of large images would be random.
  assert finetune("large", image_size=40, **start) == run.BAD_USE
  said = capsys.readouterr().err
  assert "1 of 105 variables do not fit" in said
  assert "expected (7, 7, 3, 4), received (3, 3, 3, 4)" in said
  assert "give --image_size=32 or less" in said
  assert not list(tmp_path.glob("*/checkpoints/*"))
  with caplog.at_level(logging.INFO):
    assert finetune("small", image_size=24, **start) == run.DONE
  assert "its images were 16 pixels, these are 24" in caplog.text


def test_early_stopping_ends_a_run_and_it_stays_ended(finetune, tmp_path):
  arguments = {"checkpoint_steps": 1, "train_steps": 9, "learning_rate": 1e-9}
  assert finetune(early_stopping=2, **arguments) == run.DONE
  steps = [row["step"] for row in run_log.read(tmp_path / "tuned")]
  assert len(steps) < 9
  assert finetune(early_stopping=2, **arguments) == run.DONE
  again = [row["step"] for row in run_log.read(tmp_path / "tuned")]
  assert again == steps


ROWS = [
  {"unit": "bag", "bag_pooling": "mean", "optimizer": "adam"},
  {"unit": "bag", "bag_pooling": "max", "optimizer": "lars"},
  {"unit": "bag", "bag_pooling": "attention", "optimizer": "adamw"},
  {"class_weights": "balanced", "focal_gamma": 2, "select_by": "mean_auprc"},
  {"ft_proj_selector": 1, "select_by": "brier", "zero_init_logits_layer": True},
  {"fine_tune_after_block": 2, "select_by": "balanced_accuracy"},
]


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("row", ROWS)
def test_values_of_flags_step_once(finetune, row):
  assert finetune(train_steps=1, **row) == run.DONE


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("uncertain", ["ignore", "zeros", "ones"])
def test_findings_with_gaps_are_learnt_and_scored_by_case(tmp_path, uncertain):
  (tmp_path / "site").mkdir()
  site = Site(tmp_path / "site")
  values = ["1", "0", "-1", ""]
  rows = [
    [f"{k}.png", f"p{k // 3}", f"{k // 2}", values[k % 3], values[k % 4]]
    for k in range(48)
  ]
  site.write("image,patient_id,study,edema,effusion", *rows)
  columns = {"label_columns": "edema,effusion", "bag_column": "study"}
  assert site.run(**columns) == 0
  arguments = {"data_dir": site.output, "model_dir": tmp_path / "tuned"}
  unit = "bag" if uncertain == "ones" else "image"
  assert (
    tiny.command(
      mode="finetune",
      optimizer="momentum",
      uncertain=uncertain,
      unit=unit,
      class_weights="balanced",
      # The few cases of validation need not have both values of a finding.
      select_by="brier",
      **arguments,
    )
    == run.DONE
  )
  status = tiny.command(mode="eval", eval_split="test", **arguments)
  assert status == run.DONE
  folder = tmp_path / "tuned" / "eval" / "test"
  result = json.loads((folder / "metrics.json").read_text())
  assert result["unit"] == unit
  assert result["task"] == "multi_label"


def test_what_cannot_work_is_said_before_anything_is_written(
  finetune, pretrained, tmp_path, capsys
):
  assert finetune(eval_split="train") == run.BAD_USE
  printed = capsys.readouterr().err
  assert "12 of 12 patients are in both" in printed
  assert finetune(eval_split="dev", train_split="trian") == run.BAD_USE
  printed = capsys.readouterr().err
  assert "'trian'" in printed
  assert (
    finetune(
      label_fraction=2,
      focal_gamma="inf",
      compare="x",
      bag_views=2,
      ft_proj_selector=3,
      temperature=1,
    )
    == run.BAD_USE
  )
  printed = capsys.readouterr().err
  for what in (
    "label_fraction",
    "focal_gamma",
    "--compare with --mode=eval only",
    "--bag_views with --unit=bag only",
    "--ft_proj_selector from 0 to 2",
    "--temperature with --mode=pretrain only",
  ):
    assert what in printed
  assert not (tmp_path / "tuned").exists()


def test_a_run_that_goes_on_forgets_no_patient(
  finetune, pretrained, tmp_path, capsys
):
  assert finetune(checkpoint=pretrained, train_steps=2) == run.DONE
  before = trained_on.read(str(tmp_path / "tuned"))
  assert [one.stage for one in before] == ["pretrain", "finetune", "select"]
  assert finetune(train_steps=3, checkpoint_steps=3) == run.DONE
  assert trained_on.read(str(tmp_path / "tuned")) == before
  # Nor may it be picked on others than before.
  assert finetune(train_steps=4, eval_split="test") == run.BAD_USE
  assert "--eval_split: was 'validation'" in capsys.readouterr().err


def test_a_score_that_the_labels_do_not_define_is_refused(tmp_path, capsys):
  (tmp_path / "site").mkdir()
  site = Site(tmp_path / "site")
  rows = [
    [f"{k}.png", f"p{k}", "ab"[k % 2 * (k < 8)], "train" if k < 8 else "dev"]
    for k in range(12)
  ]
  site.write("image,patient_id,label,split", *rows)
  assert site.run() == 0
  arguments = {
    "mode": "finetune",
    "optimizer": "momentum",
    "data_dir": site.output,
    "model_dir": tmp_path / "tuned",
    "eval_split": "dev",
  }
  assert tiny.command(**arguments) == run.BAD_USE
  printed = capsys.readouterr().err
  assert "brier" in printed
  assert "--select_by=mean_auroc" in printed
  arguments["train_split"] = "dev"
  assert tiny.command(**arguments, select_by="none") == run.BAD_USE
  assert "at least two classes" in capsys.readouterr().err
  assert not (tmp_path / "tuned").exists()


def test_a_sweep_runs_every_arm_and_names_the_best(finetune, tmp_path, capfd):
  grid = tmp_path / "grid.sweep"
  grid.write_text("--learning_rate=0.1,1e30\n")
  assert finetune(sweep=grid, train_steps=2) == run.DONE
  printed = capfd.readouterr().out
  result = json.loads((tmp_path / "tuned" / "sweep.json").read_text())
  assert [row["status"] for row in result["arms"]] == [run.DONE, run.FAILED]
  assert result["best"] == str(tmp_path / "tuned" / "learning_rate=0.1")
  assert (
    f"--mode=eval --eval_split=test --model_dir={result['best']}" in printed
  )
