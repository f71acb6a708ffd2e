"""Saved whole, restored whole, or not at all."""

import numpy as np
import pytest
import tensorflow as tf

from tf_micle.encoder import heads
from tf_micle.runs import checkpoint, initial_weights


def parts(width=4, steps=0):
  encoder = tf.keras.Sequential(
    [tf.keras.layers.Dense(width, name="a/b.c"), tf.keras.layers.Dense(2)]
  )
  encoder.build((None, 3))
  head = heads.projection_head(2, mode="linear", out_dim=3)
  optimizer = tf.keras.optimizers.SGD(momentum=0.9)
  optimizer.build(encoder.trainable_variables)
  optimizer.iterations.assign(steps)
  return {"encoder": encoder, "projection_head": head, "optimizer": optimizer}


def models(some_parts):
  return {k: some_parts[k] for k in ("encoder", "projection_head")}


def test_restore_gives_back_what_was_saved(tmp_path):
  saved, other = parts(steps=7), parts()
  checkpoint.RunCheckpoints(tmp_path, saved, keep=2).save()
  assert checkpoint.RunCheckpoints(tmp_path, other, keep=2).restore() == 7
  for a, b in zip(saved["encoder"].variables, other["encoder"].variables):
    np.testing.assert_array_equal(a, b)


def test_an_empty_folder_restores_nothing(tmp_path):
  assert checkpoint.RunCheckpoints(tmp_path, parts(), keep=2).restore() is None


def test_only_the_newest_are_kept(tmp_path):
  run_parts = parts()
  checkpoints = checkpoint.RunCheckpoints(tmp_path, run_parts, keep=2)
  for step in (1, 2, 3):
    run_parts["optimizer"].iterations.assign(step)
    checkpoints.save()
  names = sorted(p.name for p in (tmp_path / "checkpoints").glob("*.index"))
  assert names == ["ckpt-2.index", "ckpt-3.index"]


def test_a_run_of_another_shape_is_refused(tmp_path):
  checkpoint.RunCheckpoints(tmp_path, parts(), keep=2).save()
  wider = checkpoint.RunCheckpoints(tmp_path, parts(width=5), keep=2)
  with pytest.raises(checkpoint.CheckpointError, match="flags.json"):
    wider.restore()


@pytest.mark.parametrize("below", ["", "checkpoints", "checkpoints/ckpt-0"])
def test_initialise_takes_the_weights_and_not_the_step(tmp_path, below):
  saved, other = parts(), parts()
  checkpoint.RunCheckpoints(tmp_path, saved, keep=2).save()
  taken = initial_weights.initialise(str(tmp_path / below), models(other))
  assert str(taken).startswith("8 of 8 variables")
  for a, b in zip(saved["encoder"].variables, other["encoder"].variables):
    np.testing.assert_array_equal(a, b)


def test_initialise_names_what_is_misshapen_and_what_is_absent(tmp_path):
  checkpoint.RunCheckpoints(tmp_path, parts(), keep=2).save()
  with pytest.raises(checkpoint.CheckpointError) as error:
    initial_weights.initialise(str(tmp_path), models(parts(width=5)))
  assert "3 of 8 variables do not fit" in str(error.value)
  assert "kernel: expected (3, 5), received (3, 4)" in str(error.value)
  with pytest.raises(checkpoint.CheckpointError, match="not in the checkpoint"):
    initial_weights.initialise(str(tmp_path), {"other": parts()["encoder"]})


def test_an_optional_part_is_there_as_a_whole_or_not_at_all(tmp_path):
  saved = parts()
  checkpoint.RunCheckpoints(tmp_path / "whole", saved, keep=2).save()
  del saved["projection_head"]
  checkpoint.RunCheckpoints(tmp_path / "without", saved, keep=2).save()
  other = models(parts())
  optional = ["projection_head"]
  taken = initial_weights.initialise(
    str(tmp_path / "without"), other, optional=optional
  )
  assert taken.taken == ["encoder"]
  assert "projection_head is not there: it keeps its initial" in str(taken)
  other["projection_head"] = heads.projection_head(2, mode="linear", out_dim=5)
  with pytest.raises(checkpoint.CheckpointError) as error:
    initial_weights.initialise(
      str(tmp_path / "whole"), other, optional=optional
    )
  assert "--checkpoint_parts=encoder" in str(error.value)


def test_a_folder_without_checkpoint_is_said(tmp_path):
  with pytest.raises(checkpoint.CheckpointError, match="Expected a run's"):
    checkpoint.find(str(tmp_path))


def damage(path, how):
  """Spoils one file of a checkpoint."""
  file, how = how.split()
  file = next(path.parent.glob(f"{path.name}.{file}*"))
  content = bytearray(file.read_bytes())
  if how == "gone":
    file.unlink()
    return
  if how == "cut":
    content = content[: len(content) // 2]
  elif how == "empty":
    content = b""
  else:
    content[len(content) // 3] ^= 16
  file.write_bytes(content)


@pytest.mark.parametrize("file", ["index", "data"])
@pytest.mark.parametrize("how", ["gone", "cut", "empty", "flipped"])
def test_the_one_before_a_damaged_checkpoint_is_used(
  tmp_path, caplog, file, how
):
  run_parts = parts()
  checkpoints = checkpoint.RunCheckpoints(tmp_path, run_parts, keep=3)
  for step in (1, 2, 3):
    run_parts["optimizer"].iterations.assign(step)
    run_parts["encoder"].variables[0].assign(tf.fill((3, 4), float(step)))
    checkpoints.save()
  folder = tmp_path / "checkpoints"
  damage(folder / "ckpt-3", f"{file} {how}")
  (folder / "checkpoint").write_text("garbage")
  again = parts()
  restored = checkpoint.RunCheckpoints(tmp_path, again, keep=3)
  assert restored.restore() == 2
  assert (again["encoder"].variables[0].numpy() == 2).all()
  if (file, how) != ("index", "gone"):  # Without an index it is none.
    assert f"{folder}/ckpt-3 is damaged" in caplog.text
    assert list((folder / "damaged").iterdir())
  again["optimizer"].iterations.assign(3)
  restored.save()
  assert checkpoint.RunCheckpoints(tmp_path, parts(), keep=3).restore() == 3


def test_without_a_sound_checkpoint_a_run_does_not_begin_anew(tmp_path):
  checkpoint.RunCheckpoints(tmp_path, parts(), keep=2).save()
  damage(tmp_path / "checkpoints" / "ckpt-0", "data cut")
  for _ in range(2):  # However often it is asked to.
    with pytest.raises(checkpoint.CheckpointError, match="all damaged"):
      checkpoint.RunCheckpoints(tmp_path, parts(), keep=2).restore()


@pytest.mark.parametrize("file", ["index", "data"])
def test_a_damaged_checkpoint_is_named_where_it_was_asked_for(tmp_path, file):
  checkpoint.RunCheckpoints(tmp_path, parts(), keep=2).save()
  damage(tmp_path / "checkpoints" / "ckpt-0", f"{file} empty")
  with pytest.raises(checkpoint.CheckpointError, match="damaged"):
    initial_weights.initialise(str(tmp_path), models(parts()))


def test_what_cannot_be_read_now_is_not_taken_for_damaged(
  tmp_path, monkeypatch
):
  checkpoint.RunCheckpoints(tmp_path, parts(), keep=2).save()

  def refuse(*_):
    raise tf.errors.PermissionDeniedError(None, None, "x; Permission denied")

  monkeypatch.setattr(tf.train.Checkpoint, "restore", refuse)
  monkeypatch.setattr(tf.train, "load_checkpoint", refuse)
  with pytest.raises(tf.errors.PermissionDeniedError):
    checkpoint.RunCheckpoints(tmp_path, parts(), keep=2).restore()
  assert not (tmp_path / "checkpoints" / "damaged").exists()
