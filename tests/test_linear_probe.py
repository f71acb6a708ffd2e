"""Linear probe, then fine-tuning; and a learning rate of the encoder's own."""

import numpy as np
import pytest
import tensorflow as tf
import tiny
from absl import flags
from test_exact_resume import assert_same
from test_finetuning import batch

import run
from flags import sweep
from flags.problems import UsageError
from tf_micle.classifier.build import build_classifier

PROBE, STEPS = 2, 4
# Features of a projection head, pooled: all parts that there may be.
ALL_PARTS = {"unit": "bag", "ft_proj_selector": 1, "fine_tune_after_block": 2}
HEAD, BODY = ("pooling", "head"), ("encoder", "projection_head")


def build(train_steps=STEPS, **changes):
  return build_classifier(
    tiny.finetune_options(**changes),
    task="multi_class",
    num_classes=3,
    steps_per_epoch=10,
    train_steps=train_steps,
  )


def fit(model, steps):
  """Fits as the loop does; returns the rates of the steps."""
  rates = []
  seen = tf.keras.callbacks.LambdaCallback(
    on_train_batch_end=lambda _, logs: rates.append(logs["learning_rate"])
  )
  data = tf.data.Dataset.from_tensors(batch(views=2)).repeat()
  model.fit(data, steps_per_epoch=steps, verbose=0, callbacks=[seen])
  return rates


def values(parts, names):
  return {name: [v.numpy() for v in parts[name].variables] for name in names}


def moved(one, other):
  """Which variables differ, by part."""
  return {
    name: [not np.array_equal(a, b) for a, b in zip(one[name], other[name])]
    for name in one
  }


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_head_learns_first_then_all_that_is_not_frozen(
  replicas, two_replicas, monkeypatch
):
  strategy = two_replicas if replicas == 2 else tf.distribute.get_strategy()
  with strategy.scope():
    model, parts = build(linear_probe_steps=PROBE, **ALL_PARTS)
  traced, train_step = [], model.train_step
  monkeypatch.setattr(
    model, "train_step", lambda data: traced.append(1) or train_step(data)
  )
  before = values(parts, HEAD + BODY)
  rates = fit(model, PROBE)
  middle = values(parts, HEAD + BODY)
  changed = moved(before, middle)
  for name in HEAD:
    assert all(changed[name]), name
  for name in BODY:  # The statistics of BatchNorm are among them.
    assert not any(changed[name]), name
  rates += fit(model, STEPS - PROBE)
  for name, changed in moved(middle, values(parts, HEAD + BODY)).items():
    trained = {v.ref() for v in parts[name].trainable_variables}
    both = list(zip(parts[name].variables, changed, strict=True))
    assert all(has for v, has in both if v.ref() in trained), name
    # Statistics move where BatchNorm is not frozen: in groups 3 and 4.
    others = [has for v, has in both if v.ref() not in trained]
    assert any(others) == (name in BODY), name
    assert not all(others) or name != "encoder"
  # Half a cosine in each phase, from the peak.
  np.testing.assert_allclose(rates, [0.1, 0.05, 0.1, 0.05], rtol=1e-5)
  assert len(traced) == 2 * replicas


@pytest.mark.usefixtures("eagerly")
def test_a_probe_is_a_run_on_a_frozen_encoder():
  words = {"unit": "bag", "weight_decay": 0.1}
  probe, parts = build(linear_probe_steps=PROBE, **words)
  frozen, expected = build(PROBE, fine_tune_after_block=4, **words)
  for model in (probe, frozen):
    fit(model, PROBE)
  for name in HEAD:
    for a, b in zip(parts[name].variables, expected[name].variables):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
  "words",
  [
    {"optimizer": "momentum", "learning_rate": 0.5},
    {"optimizer": "lars", "learning_rate": 50.0},
    {"optimizer": "adam", "learning_rate": 0.01},
    {"optimizer": "adamw", "learning_rate": 0.01},
    {"optimizer": "momentum", "learning_rate": 0.5, "precision": "float16"},
  ],
  ids=lambda words: "_".join(map(str, words.values())),
)
def test_the_encoder_moves_by_its_rate_s_factor(words):
  """Trust ratios and weight decay included; the head as ever."""
  changes = []
  for rate in (1.0, 0.25):
    model, parts = build(
      encoder_rate=rate, ft_proj_selector=1, weight_decay=0.1, **words
    )
    body, head = model.encoder_variables, model.head_variables
    before = [v.numpy() for v in body + head]
    model.train_step(batch())
    after = [v.numpy() for v in body + head]
    changes.append([b - a for a, b in zip(before, after)])
  factors = [0.25] * len(body) + [1.0] * len(head)
  assert len(factors) == len(model.trainable_variables)
  # A block's last scale begins at 0: scales and offsets under it stand still.
  assert np.mean([np.abs(one).max() > 1e-4 for one in changes[0]]) > 0.7
  for factor, one, other in zip(factors, *changes):
    np.testing.assert_allclose(other, factor * one, rtol=1e-3, atol=1e-6)


@pytest.fixture
def finetune(demo_records, tmp_path):
  """Fine-tunes into `tmp_path / name`; returns the status."""

  def go(name="tuned", **changes):
    told = {
      **{"mode": "finetune", "optimizer": "adam", "data_dir": demo_records},
      **{"model_dir": tmp_path / name, "learning_rate": 0.01},
      **{"train_steps": STEPS, "linear_probe_steps": PROBE},
      **{"checkpoint_steps": 1, "encoder_rate": 0.5, "select_by": "none"},
    }
    return tiny.command(**{**told, **changes})

  return go


@pytest.mark.usefixtures("eagerly")
def test_a_run_that_is_killed_in_either_phase(finetune, tmp_path, capsys):
  assert finetune("whole") == run.DONE
  assert finetune("parts") == run.DONE
  folder = tmp_path / "parts" / "checkpoints"
  for last in (PROBE + 1, PROBE - 1):
    for step in range(last + 1, STEPS + 1):
      for path in folder.glob(f"ckpt-{step}.*"):
        path.unlink()
    assert finetune("parts") == run.DONE
    assert_same(tmp_path / "whole", tmp_path / "parts")
  assert finetune("parts", linear_probe_steps=1) == run.BAD_USE
  assert "--linear_probe_steps: was 2, is 1" in capsys.readouterr().err
  told = {"mode": "eval", "model_dir": tmp_path / "parts", "eval_split": "test"}
  assert tiny.command(**told, bootstrap_samples=5) == run.DONE


@pytest.mark.usefixtures("eagerly")
def test_a_longer_run_keeps_its_phases(finetune, tmp_path):
  """Half of the steps of the day it began, not of what it is now."""
  phases = {"linear_probe_steps": -1, "train_steps": 2}
  assert finetune("longer", **phases) == run.DONE
  assert finetune("longer", **{**phases, "train_steps": 4}) == run.DONE
  assert finetune("told", linear_probe_steps=1, train_steps=2) == run.DONE
  assert finetune("told", linear_probe_steps=1, train_steps=4) == run.DONE
  assert_same(tmp_path / "told", tmp_path / "longer")


def test_what_would_do_nothing_is_refused(finetune, tmp_path, capsys):
  assert finetune(fine_tune_after_block=4) == run.BAD_USE
  said = capsys.readouterr().err
  assert "below 4 with --linear_probe_steps" in said
  assert "below 4 with --encoder_rate" in said
  assert finetune(linear_probe_steps=STEPS, encoder_rate=0) == run.BAD_USE
  said = capsys.readouterr().err
  assert f"--linear_probe_steps={STEPS}, --train_steps={STEPS}" in said
  assert "a finite encoder_rate > 0. Received: --encoder_rate=0" in said
  epochs = {"train_steps": None, "train_epochs": 1}
  assert finetune(linear_probe_steps=1000, **epochs) == run.BAD_USE
  assert "the steps of --train_epochs=1. Received" in capsys.readouterr().err
  told = {"model_dir": tmp_path / "tuned", "encoder_rate": 2}
  assert tiny.command(**told) == run.BAD_USE
  assert "--encoder_rate with --mode=finetune only" in capsys.readouterr().err
  assert not (tmp_path / "tuned").exists()


def test_a_sweep_names_them(tmp_path):
  path = tmp_path / "grid"
  path.write_text("--linear_probe_steps=0,100\n--encoder_rate=0.1,1\n")
  assert len(sweep.read(str(path), flags.FLAGS)) == 4
  path.write_text("--linear_probe_steps=-2\n--encoder_rate=0.1,0\n")
  with pytest.raises(UsageError) as refused:
    sweep.read(str(path), flags.FLAGS)
  assert len(refused.value.problems) == 2
