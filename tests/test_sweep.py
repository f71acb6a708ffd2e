"""A sweep's file, and what picks the best of its arms."""

import sys

import pytest
from absl import flags

import run  # noqa: F401: defines the flags
from flags import sweep
from tf_micle.modes import grid_search


def read(tmp_path, text):
  path = tmp_path / "grid.sweep"
  path.write_text(text)
  return sweep.read(str(path), flags.FLAGS)


def test_every_combination_once(tmp_path):
  arms = read(
    tmp_path,
    "# a grid\n--learning_rate=0.1, 1\n\n--weight_decay=0,1e-5 # two\n",
  )
  assert arms == [
    {"learning_rate": "0.1", "weight_decay": "0"},
    {"learning_rate": "0.1", "weight_decay": "1e-5"},
    {"learning_rate": "1", "weight_decay": "0"},
    {"learning_rate": "1", "weight_decay": "1e-5"},
  ]
  assert sweep.arguments(arms[1]) == [
    "--learning_rate=0.1",
    "--weight_decay=1e-5",
  ]
  assert len({sweep.name(arm) for arm in arms}) == 4


def test_all_faults_of_a_sweep_are_told_at_once(tmp_path):
  with pytest.raises(ValueError, match="learning_rat") as caught:
    read(
      tmp_path,
      "--learning_rat=1\n--learning_rate=x,1,1,-2\n--model_dir=a,b\n"
      "--optimizer=sgd\n",
    )
  for what in (
    "line 1",
    "line 2",
    "--learning_rate. Received: x",
    "=-2",
    "different",
    "model_dir",
    "--optimizer. Received: sgd",
  ):
    assert what in str(caught.value)
  with pytest.raises(ValueError, match="none"):
    read(tmp_path, "# nothing\n")


_ARM = """
import json, pathlib, sys
folder, score, status, calls = sys.argv[1:]
pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
with open(calls, "a") as file: file.write(folder + "\\n")
rows = [{"step": s, "validation_top1": float(score) - s} for s in (0, 1)]
pathlib.Path(folder, "metrics.jsonl").write_text(
  "".join(json.dumps(row) + "\\n" for row in rows))
sys.exit(int(status))
"""


def test_arms_run_once_and_the_best_that_ended_well_is_picked(tmp_path):
  calls = tmp_path / "calls"

  def arms(statuses):
    return [
      (
        {"learning_rate": str(k)},
        [sys.executable, "-c", _ARM, str(tmp_path / f"{k}"), score, status]
        + [str(calls)],
        str(tmp_path / f"{k}"),
      )
      for k, (score, status) in enumerate(zip("352", statuses))
    ]

  def search(statuses):
    return grid_search.search(
      tmp_path, arms(statuses), select_by="top1", bad_use=2, stopped=143
    )

  # The second is the best, but fails.
  _, result = search(["0", "1", "0"])
  assert result["best"] == str(tmp_path / "0")
  assert [row["score"] for row in result["arms"]] == [3.0, 5.0, 2.0]
  assert [row["step"] for row in result["arms"]] == [0, 0, 0]
  # What ended well is not run again, what failed is.
  assert search(["0", "0", "0"])[1]["best"] == str(tmp_path / "1")
  names = [line[-1] for line in calls.read_text().split()]
  assert names == ["0", "1", "2", "1"]
  lines = grid_search.table(result, "top1").splitlines()
  assert len(lines) == 4


@pytest.mark.parametrize(("status", "ended"), [(2, 2), (143, 143)])
def test_a_stop_and_a_fault_of_all_end_a_sweep(tmp_path, status, ended):
  command = [sys.executable, "-c", f"import sys; sys.exit({status})"]
  arms = [({"seed": f"{k}"}, command, str(tmp_path / f"{k}")) for k in range(2)]
  found, result = grid_search.search(
    tmp_path, arms, select_by="top1", bad_use=2, stopped=143
  )
  assert found == ended
  assert result == {"arms": [], "best": None}
