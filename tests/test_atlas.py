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


def command(page, **changes):
  """Shows runs and records of `saved`, in the working directory."""
  given = {"mode": "predict", "eval_split": "validation+test", "atlas": page}
  return tiny.command(**{**given, **changes})


def content(page):
  found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.S)
  return json.loads(found[1])


@pytest.mark.parametrize("name", ["pretrained", "tuned"])
def test_any_run_shows_the_images_of_its_splits(
  saved, name, capsys, monkeypatch
):
  page, again = saved / "new" / "atlas.html", saved / "again.html"
  assert command(page, model_dir=name) == run.DONE
  assert f"34 images in {page}: open it" in capsys.readouterr().out
  text, data = page.read_text(), content(page)
  assert "34 images of 10 patients" in text
  assert "http" not in text.replace('http-equiv="Content', "")
  columns = dict(data["columns"])
  assert list(columns) == ["label", "skin", "split", "patient", "row"]
  assert columns["split"] == ["validation"] * 16 + ["test"] * 18
  patients = np.array(columns["patient"])
  for k, near in enumerate(data["nearest"]):
    assert len(near) == 8
    assert patients[k] not in patients[near]
  assert len(data["thumbnails"]) == len(data["places"]) == 34
  monkeypatch.setattr(atlas_mode, "MOST", 12)
  assert command(again, model_dir=name, data_dir="records") == run.DONE
  assert "Shown are 12 images of 34" in again.read_text()
  few = dict(content(again)["columns"])
  assert set(few["row"]) < set(columns["row"])
  # A thumbnail is that of its row.
  pictures = dict(zip(columns["row"], data["thumbnails"]))
  assert [pictures[r] for r in few["row"]] == content(again)["thumbnails"]


def test_problems_are_told_together(saved, capsys):
  (saved / "there.html").write_text("")
  told = {"eval_split": "none+no", "output": "out.csv", "manifest": "m.csv"}
  status = command("there.html", model_dir="pretrained", **told)
  assert status == run.BAD_USE
  said = capsys.readouterr().err
  assert said.startswith("4 problems")
  assert "to be new" in said
  assert "Received: --manifest, --output" in said
  assert "'none'" in said
  assert "'no'" in said
  assert command("a.txt", model_dir="images", data_dir="records") == run.BAD_USE
  said = capsys.readouterr().err
  assert "ends in .html" in said
  assert "folder of a run," in said
  status = tiny.command(mode="predict", model_dir="tuned", seed=1)
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
  fingered = tmp_path / "fingered.html"
  # Its policy lets no other script in, ours neither.
  text, held = re.subn("<meta http-equiv.*?>", "", page.read_text())
  assert held == 1
  fingered.write_text(text + _FINGERS)
  dom = browsed(f"file://{fingered}")
  assert 'data-hovered="row 3' in dom
  assert 'data-pictured="true"' in dom
  assert '<h2 id="name" aria-live="polite">Row 3</h2>' in dom
  # Twice as far apart.
  assert 'data-scale="2.00"' in dom


# A mouse over image 3 and a click on it; then two fingers that go apart.
_FINGERS = """<script>
canvas.setPointerCapture = () => {};
function finger(type, pointerId, [x, y]) {
  const box = canvas.getBoundingClientRect();
  const [clientX, clientY] = [x + box.left + 1, y + box.top + 1];
  canvas.dispatchEvent(new PointerEvent(
    type, {pointerId, clientX, clientY, pointerType: "mouse"}));
}
finger("pointermove", 1, place(3));
document.body.dataset.hovered = tip.textContent.toLowerCase();
document.body.dataset.pictured = !!tip.querySelector("img, i");
finger("pointerdown", 1, place(3));
finger("pointerup", 1, place(3));
finger("pointerdown", 1, [100, 100]);
finger("pointerdown", 2, [150, 100]);
finger("pointermove", 2, [200, 100]);
document.body.dataset.scale = view.scale.toFixed(2);
</script>"""


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
