"""metrics.jsonl: each step once, whole lines only."""

from tf_micle.runs import run_log


def test_a_resumed_log_drops_what_came_after_the_checkpoint(tmp_path):
  log = run_log.RunLog(tmp_path, first_step=0)
  for step in (1, 2, 3):
    log.write(step, {"loss": float(step)})
  log = run_log.RunLog(tmp_path, first_step=2)
  log.write(3, {"loss": 30.0})
  assert run_log.read(tmp_path) == [
    {"step": 1, "loss": 1.0},
    {"step": 2, "loss": 2.0},
    {"step": 3, "loss": 30.0},
  ]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
  log = run_log.RunLog(tmp_path, first_step=0)
  log.write(1, {"loss": 1.0})
  with open(tmp_path / "metrics.jsonl", "a") as file:
    file.write('{"step": 2, "lo')
  assert run_log.read(tmp_path) == [{"step": 1, "loss": 1.0}]
  run_log.RunLog(tmp_path, first_step=1).write(2, {"loss": 2.0})
  assert [row["step"] for row in run_log.read(tmp_path)] == [1, 2]


def test_no_log_reads_as_nothing(tmp_path):
  assert run_log.read(tmp_path) == []
