"""What a run that is resumed may differ in."""

import json

from tf_micle.runs import provenance


def test_a_run_that_names_no_flag_has_its_value_from_before(tmp_path):
  """Such a run is not resumed under another objective in silence."""
  (tmp_path / "checkpoints").mkdir()
  (tmp_path / "checkpoints" / "ckpt-1.index").touch()
  (tmp_path / "flags.json").write_text(json.dumps({"seed": 0}))

  def changes(**flags):
    return provenance.changed_flags(tmp_path, flags=flags, may_change=())

  before = {
    "precision": "float32",
    "read_parts": 1,
    "loss_reduction": "anchors",
    "min_object_covered": 0.0,
  }
  ends = {"train_steps": None, "train_epochs": 1}
  assert changes(seed=0, **before, **ends) == []
  now = {**before, "loss_reduction": "pairs", "min_object_covered": 0.1}
  assert changes(seed=0, **now, **ends) == [
    "--loss_reduction: was 'anchors', is 'pairs'",
    "--min_object_covered: was 0.0, is 0.1",
  ]
  gone = {"seed": 0, "decoupled_loss": True}
  (tmp_path / "flags.json").write_text(json.dumps(gone))
  (line,) = changes(seed=0, **before, **ends)
  assert line.startswith("--decoupled_loss: was True, and there is no such")
