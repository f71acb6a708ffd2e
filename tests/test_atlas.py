"""The atlas of embeddings: neighbours, sample, command, and page."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tiny

import run
from tf_micle.modes import atlas as atlas_mode
from tf_micle.prediction import atlas, placing
from tf_micle.system.input_error import InputError

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"


def naive_nearest(features, patients, i, count):
  cosines = {
    j: features[i] @ h / np.linalg.norm(features[i]) / np.linalg.norm(h)
    for j, h in enumerate(features)
    if patients[j] != patients[i]
  }
  return sorted(cosines, key=lambda j: -cosines[j])[:count], cosines


def test_nearest_are_those_of_a_naive_loop(monkeypatch):
  monkeypatch.setattr(placing, "_ROWS", 7)
  draw = np.random.default_rng(0)
  features = draw.normal(size=(30, 5)).astype(np.float32)
  patients = np.array([f"p{k}" for k in [*range(8), *[9] * 22]])
  places, cosines = placing.nearest(features, patients, 10)
  for i in range(30):
    expected, of = naive_nearest(features, patients, i, 10)
    there = np.isfinite(cosines[i])
    assert there.sum() == min(10, len(of)) == (10 if i < 8 else 8)
    assert places[i][there].tolist() == expected
    np.testing.assert_allclose(
      cosines[i][there], [of[j] for j in expected], atol=1e-6
    )


def test_groups_stay_together_in_the_plane_and_places_are_the_same_again():
  draw = np.random.default_rng(0)
  group = np.repeat([0, 1, 2], 20)
  features = draw.normal(size=(3, 64))[group] * 9 + draw.normal(size=(60, 64))
  places = placing.plane(features.astype(np.float32), 0)
  assert places.min() == 0
  assert places.max() == 1
  distances = np.linalg.norm(places[:, None] - places, axis=-1)
  np.fill_diagonal(distances, np.inf)
  assert (group[distances.argmin(axis=1)] == group).all()
  again = placing.plane(features.astype(np.float32), 0)
  np.testing.assert_array_equal(again, places)
  assert placing.plane(features[:8].astype(np.float32), 0).shape == (8, 2)


@pytest.mark.parametrize(
  ("features", "word"),
  [(np.ones((9, 4)), "collapsed"), (np.full((9, 4), np.nan), "diverged")],
)
def test_features_that_place_nothing_are_told(features, word):
  with pytest.raises(InputError, match=word):
    placing.check(features)


def test_a_sample_is_the_same_and_a_smaller_one_is_part_of_it():
  rows = {"a": np.arange(2, 902), "b": np.arange(902, 1002)}
  few, more = atlas_mode.sample(rows, 100), atlas_mode.sample(rows, 500)
  assert sum(map(len, few.values())) == 100
  for split in rows:
    assert few[split] == sorted(set(few[split]) & set(more[split]))
  assert 430 < len(more["a"]) < 470  # As large a share of each split.
  everything = atlas_mode.sample(rows, 1000)
  assert everything == {"a": list(range(900)), "b": list(range(100))}


@pytest.fixture(scope="module")
def pretrained(demo_records, tmp_path_factory):
  folder = tmp_path_factory.mktemp("pretrained") / "run"
  status = tiny.command(
    data_dir=demo_records,
    model_dir=folder,
    train_steps=1,
    lineareval_while_pretraining=False,
  )
  assert status == run.DONE
  return folder


def command(pretrained, demo_records, page, **changes):
  given = {
    "mode": "predict",
    "model_dir": pretrained,
    "data_dir": demo_records,
    "eval_split": "validation+test",
    "atlas": page,
  }
  return tiny.command(**{**given, **changes})


def content(page):
  found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.S)
  return json.loads(found[1])


def test_any_run_shows_the_images_of_its_splits(
  pretrained, demo_records, tmp_path, capsys, monkeypatch
):
  page, again = tmp_path / "new" / "atlas.html", tmp_path / "again.html"
  assert command(pretrained, demo_records, page) == run.DONE
  assert f"in {page}: open it in a browser" in capsys.readouterr().out
  text, data = page.read_text(), content(page)
  assert "http" not in text.replace('http-equiv="Content', "")
  columns = dict(data["columns"])
  assert list(columns) == [
    *("label", "clinic", "skin", "split", "patient", "row")
  ]
  assert set(columns["split"]) == {"validation", "test"}
  assert len(set(columns["patient"])) == 6 + 3
  patients = np.array(columns["patient"])
  for k, near in enumerate(data["nearest"]):
    assert len(near) == 8
    assert patients[k] not in patients[near]
  assert len(data["thumbnails"]) == len(data["places"]) == len(patients)
  assert command(pretrained, demo_records, again) == run.DONE
  assert again.read_text() == text
  monkeypatch.setattr(atlas_mode, "MOST", 12)
  few = tmp_path / "few.html"
  assert command(pretrained, demo_records, few) == run.DONE
  assert "Shown are 12 images of " in few.read_text()
  assert set(dict(content(few)["columns"])["row"]) < set(columns["row"])


def test_problems_are_told_together(pretrained, demo_records, tmp_path, capsys):
  (tmp_path / "there.html").write_text("")
  common = (pretrained, demo_records)
  status = command(
    *common,
    tmp_path / "there.html",
    eval_split="none",
    output="out.csv",
    manifest="m.csv",
  )
  assert status == run.BAD_USE
  said = capsys.readouterr().err
  assert "3 problems" in said
  assert "to be new" in said
  assert "Received: --manifest, --output" in said
  assert "'none'" in said
  status = command(*common, tmp_path / "a.txt", model_dir=tmp_path)
  assert status == run.BAD_USE
  said = capsys.readouterr().err
  assert "2 problems" in said or "3 problems" in said
  assert "ends in .html" in said
  assert "folder of a run," in said
  status = tiny.command(mode="predict", model_dir=pretrained, seed=1)
  assert status == run.BAD_USE
  assert "--seed with --atlas only" in capsys.readouterr().err


@pytest.mark.skipif(not CHROMIUM, reason="No Chromium.")
def test_the_page_works_in_a_browser_and_escapes_all(tmp_path):
  count = 12
  thumbnails = [
    atlas.thumbnail(np.full((20, 20, 3), 20 * k, np.uint8), 16)
    for k in range(count)
  ]
  patients = np.array([f"{EVIL}{k // 2}" for k in range(count)])
  places = np.arange(count)
  page = tmp_path / "page.html"
  atlas.write(
    page,
    title=EVIL,
    lead=EVIL,
    notes=[EVIL],
    columns={
      EVIL: np.array([EVIL, "b", ""] * 4),
      "half": np.array(["x"] * 6 + ["y"] * 6),
      "patient": patients,
      "row": places.astype(str),
    },
    places=np.stack([places / 11, (places % 3) / 11], axis=1),
    nearest=np.stack([(places + 2) % count, (places + 4) % count], axis=1),
    cosines=np.array([[0.5, -np.inf]] + [[0.9, 0.25]] * 11),
    thumbnails=thumbnails,
  )
  dom = browsed(f"file://{page}#by=half&image=1")
  assert "alert(" not in re.sub(r'(?s)id="data">.*?</script>', "", dom).replace(
    html.escape(EVIL, quote=False), ""
  )
  # By hand: images 0 to 11 in halves, each with the two after the next one,
  # but the first with one.
  half = np.array([0] * 6 + [1] * 6)
  near = [[2]] + [[(k + 2) % 12, (k + 4) % 12] for k in range(1, 12)]
  share = np.mean([np.mean(half[n] == half[k]) for k, n in enumerate(near)])
  assert f"{100 * share:.1f}%; by chance 40.0%" in dom
  assert re.findall(r"</i>. \((\d\.\d\d)\)</span>", dom) == ["0.90", "0.25"]
  assert '<h2 id="name" aria-live="polite">Row 1</h2>' in dom
  dom = browsed(f"file://{page}#image=0")
  assert dom.count("<li>") == 1


def browsed(address):
  """The page as the browser has it after its script; none may fail."""
  done = subprocess.run(
    [
      *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"),
      *("--enable-logging=stderr", "--virtual-time-budget=2000"),
      *("--dump-dom", address),
    ],
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
  )
  assert "CONSOLE" not in done.stderr, done.stderr
  return done.stdout
