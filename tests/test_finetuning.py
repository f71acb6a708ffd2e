"""What a fine-tuning run is made of, and what stays as it was."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from tf_micle.classifier.build import build_classifier
from tf_micle.contrastive.build import build_contrastive_model
from tf_micle.runs import checkpoint

WORDS = {"task": "multi_class", "num_classes": 3}
STEPS = {"steps_per_epoch": 10, "train_steps": 10}


def build(weights=None, **changes):
  return build_classifier(
    tiny.finetune_options(**changes),
    class_weights=weights,
    **WORDS,
    **STEPS,
  )


def batch(seed=0, views=1):
  rng = np.random.default_rng(seed)
  return {
    "views": tf.constant(rng.integers(0, 256, (4, views, 16, 16, 3), np.uint8)),
    "label": tf.repeat(tf.constant([[0], [1], [2], [1]], tf.int64), views, 1),
  }


def group_of(layer):
  """0 for the stem's layers, 1 to 4 for those of the groups of blocks."""
  name = layer.name
  return int(name[11]) if name.startswith("block_group") else 0


def changed(parts, run):
  """The names of parts and groups of which all, or no variables change."""
  layers = {name: [part] for name, part in parts.items() if name != "optimizer"}
  for layer in layers.pop("encoder")[0].layers:
    layers.setdefault(group_of(layer), []).append(layer)
  if "projection_head" in layers:
    head = layers.pop("projection_head")[0]
    for index, pair in enumerate(zip(head.dense, head.bn)):
      layers[f"projection{index + 1}"] = list(pair)
  variables = {
    k: [v for x in xs for v in x.variables] for k, xs in layers.items()
  }
  before = {k: [v.numpy() for v in vs] for k, vs in variables.items()}
  run()
  found = set()
  for name, values in variables.items():
    moved = [(v.numpy() != b).any() for v, b in zip(values, before[name])]
    assert all(moved) or not any(moved), name
    if all(moved):
      found.add(name)
  return found


@pytest.mark.parametrize("after_block", range(-1, 5))
def test_frozen_blocks_do_not_change_statistics_included(after_block):
  model, parts = build(
    fine_tune_after_block=after_block,
    ft_proj_selector=1,
    unit="bag",
    bag_pooling="attention",
  )

  def run():
    for seed in range(2):
      model.train_step(batch(seed, views=2))

  expected = {*range(after_block + 1, 5), "pooling", "head"}
  # Layer 2 of the projection head is above the selected one.
  expected |= set() if after_block == 4 else {"projection1"}
  assert changed(parts, run) == expected


def test_parts_hold_what_has_weights():
  model, parts = build()
  assert set(parts) == {"encoder", "head", "optimizer"}
  _, parts = build(unit="bag", bag_pooling="max", ft_proj_selector=2)
  assert set(parts) == {"encoder", "projection_head", "head", "optimizer"}
  assert parts["head"].kernel.shape == (tiny.OPTIONS.proj_out_dim, 3)
  _, parts = build(unit="bag", bag_pooling="attention")
  assert set(parts) == {"encoder", "pooling", "head", "optimizer"}


def test_the_seed_fixes_the_weights_the_encoder_s_as_in_pretraining():
  def weights(part):
    return [w.numpy() for w in part.variables]

  words = {"unit": "bag", "ft_proj_selector": 2}
  one, again = build(**words)[1], build(**words)[1]
  other = build(**words, seed=1)[1]
  _, pretrained = build_contrastive_model(tiny.options(), **STEPS)
  for name in ("encoder", "projection_head", "pooling", "head"):
    a, b = weights(one[name]), weights(again[name])
    assert all(map(np.array_equal, a, b)), name
    assert not all(map(np.array_equal, a, weights(other[name]))), name
    if name in pretrained:
      assert all(map(np.array_equal, a, weights(pretrained[name]))), name


def test_the_classifier_may_start_at_zero():
  kernel = build(zero_init_logits_layer=True)[1]["head"].kernel
  np.testing.assert_array_equal(kernel, tf.zeros_like(kernel))
  assert build()[1]["head"].kernel.numpy().any()


@pytest.mark.parametrize("optimizer", ["lars", "momentum", "adam", "adamw"])
def test_a_restored_run_goes_on_as_the_one_that_was_saved(optimizer, tmp_path):
  def opened():
    model, parts = build(
      optimizer=optimizer, unit="bag", weight_decay=0.1, fine_tune_after_block=3
    )
    return model, checkpoint.RunCheckpoints(str(tmp_path), parts, keep=1)

  model, checkpoints = opened()
  model.train_step(batch(0, views=2))
  checkpoints.save()
  resumed, checkpoints = opened()
  assert checkpoints.restore() == 1
  for m in (model, resumed):
    m.train_step(batch(1, views=2))
  for a, b in zip(model.variables, resumed.variables):
    if "loss" not in a.name and a.name not in ("total:0", "count:0"):
      np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
  ("changes", "match"),
  [
    ({"ft_proj_selector": 3}, "from 0 to 2.*ft_proj_selector=3"),
    ({"ft_proj_selector": -1}, "ft_proj_selector=-1"),
    (
      {"ft_proj_selector": 1, "proj_head_mode": "none"},
      "from 0 to 0.*ft_proj_selector=1",
    ),
    ({"fine_tune_after_block": 5}, "from -1 to 4.*=5"),
    ({"unit": "patient"}, "unit='patient'"),
    ({"unit": "bag", "bag_pooling": "sum"}, "mode='sum'"),
    ({"class_weights": "some"}, "class_weights='some'"),
    ({"class_weights": "balanced"}, "balanced"),
    ({"weights": [1.0, 1.0, 1.0]}, "only there.*'none'"),
  ],
)
def test_bad_options(changes, match):
  with pytest.raises(ValueError, match=match):
    build(**changes)
