"""The look at records before training: each planted problem is found."""

import io
import re

import build_site
import numpy as np
import pytest
import tiny
from PIL import Image
from scipy import ndimage

import run
from data import inspect
from data.inspection import differences, near_duplicates
from data.records import dataset_json

HEADER = "image,patient_id,label,split,site"


def picture(seed, brighter=0):
  """A smooth picture of its own for each seed, 56 x 48."""
  noise = np.random.default_rng(seed).normal(size=(48, 56))
  smooth = ndimage.gaussian_filter(noise, 3)
  smooth = 100 + 40 * smooth / smooth.std() + brighter
  return Image.fromarray(smooth.clip(0, 255).astype(np.uint8))


def clean_rows(splits=("train", "test"), patients=12, site="ab"):
  """Rows of two images a patient; label and site are balanced."""
  return [
    [f"{split}{p}-{i}.png", f"{split}{p}", f"c{p % 2}", split, site[p // 2 % 2]]
    for split in splits
    for p in range(patients)
    for i in range(2)
  ]


def build(root, rows, change=None, **flags):
  """Builds records of rows; `change` is given the folder of images."""
  site = build_site.Site(root)
  site.write(HEADER, *rows, images=False)
  for seed, row in enumerate(rows):
    picture(seed).save(site.images / row[0])
  if change:
    change(site.images)
  assert site.run(metadata_columns="site", **flags) == 0
  return site.output


def inspected(data_dir, capsys, *arguments):
  """Returns what is printed, from the worries on, and the page."""
  output = data_dir.parent / "page.html"
  capsys.readouterr()
  status = inspect.main(
    ["x", f"--data_dir={data_dir}", f"--output={output}", "--workers=1"]
    + list(arguments)
  )
  out = capsys.readouterr().out
  assert status == 0
  head, count, text = re.split(r"^(\d+) worr\w+:$", out, flags=re.M)
  assert text.count("\n- ") == int(count)
  return head, text, output.read_text()


def test_a_clean_set_has_no_worries_and_right_counts(tmp_path, capsys):
  data_dir = build(tmp_path, clean_rows())
  head, text, page = inspected(data_dir, capsys)
  assert "\n- " not in text
  assert "Nothing was found." in page
  assert re.search(r"^train +12 +12 +24 +24$", head, re.M)
  assert re.search(r"^c0 +12 \(50\.0%\) +12 \(50\.0%\)$", head, re.M)
  assert re.search(r"^test +56 +56 +56 +48 +48 +48 +0\.0%$", head, re.M)


def test_each_planted_problem_is_found_with_its_rows(tmp_path, capsys):
  rows = clean_rows(("train", "test", "validation"), patients=20)
  for row in rows[80:]:  # validation
    row[2] = ""
  rows[6][2] = "c0"  # row 8; its bag's other image, row 9, is c1

  def change(folder):
    for k, row in enumerate(rows):
      if row[4] == "b":
        picture(k, brighter=50).save(folder / row[0])
    Image.new("L", (56, 48), 90).save(folder / rows[20][0])  # row 22
    copy = picture(2).resize((40, 34), Image.Resampling.LANCZOS)
    copy.save(folder / rows[50][0])  # row 52 (test) is row 4 (train)
    file = io.BytesIO()
    picture(0).save(file, "JPEG", quality=50)
    Image.open(file).save(folder / rows[9][0])  # row 11 is row 2, both train

  _, text, page = inspected(build(tmp_path, rows, change), capsys)
  lines = text.strip().split("\n")
  expected = [
    (r"severe: 1 group of near-duplicates in several splits", {4, 52}),
    (r"severe: Split 'validation' has no label", None),
    (r"serious: 1 group of .* under several patients", {2, 11}),
    (r"serious: 1 image of a single grey level", {22}),
    (r"serious: 1 of 60 bags with images of several labels", {8, 9}),
    (r"serious: Images of site '(a' are darker|b' are brighter)", None),
  ]
  for pattern, numbers in expected:
    line = lines.pop(0)
    assert re.match(f"- {pattern}", line), line
    if numbers:
      assert set(map(int, re.findall(r"row (\d+)", lines.pop(0)))) == numbers
  assert not lines
  assert page.index("severe") < page.rindex("serious")
  assert "http" not in page.replace('http-equiv="Content', "")


def test_what_is_shown_is_escaped(tmp_path, capsys):
  rows = clean_rows(site=("<b>&", "c"))
  for row in rows:
    row[2] = row[2].replace("c0", "<script>alert('x')</script>")
  page = inspected(build(tmp_path, rows), capsys)[2]
  assert "<script" not in page
  assert "<b>&" not in page
  assert "&lt;b&gt;&amp;" in page
  assert "&lt;script&gt;" in page


def test_findings_are_counted_and_differ_within_bags(tmp_path, capsys):
  rows = [
    [*r[:2], "", *r[3:], k % 4 // 2, ""] for k, r in enumerate(clean_rows())
  ]
  rows[1][-2] = 1  # row 3; row 2 of its bag has 0
  rows[4][-2] = -1
  site = build_site.Site(tmp_path)
  site.write("image,patient_id,none,split,site,A,B", *rows, images=False)
  for seed, row in enumerate(rows):
    picture(seed).save(site.images / row[0])
  assert site.run(label_columns="A,B") == 0
  head, text, _ = inspected(site.output, capsys)
  assert re.search(r"^A .*13 of 23 \(56.5%\), 1 uncertain$", head, re.M)
  assert re.search(r"several labels.*\n +row 2 .* = row 3 ", text)
  assert text.count("has no image of B") == 2


def test_damaged_records_are_told_and_the_rest_is_shown(tmp_path, capsys):
  data_dir = build(tmp_path, clean_rows())
  shard = dataset_json.shard_paths(data_dir, "train")[1]
  content = bytearray(shard.read_bytes())
  content[40] ^= 255
  shard.write_bytes(content)
  head, text, _ = inspected(data_dir, capsys)
  assert "- severe: 1 record or image cannot be read" in text
  assert "-train.tfrecord-00001-of-00008, record 0: its bytes do not" in text
  assert re.search(r"^test +12 +12 +24 +24$", head, re.M)
  shard.write_bytes(content[:-1])
  assert inspect.main(["x", f"--data_dir={data_dir}"]) == 2
  assert "Copy or build the data set again" in capsys.readouterr().err


def test_bad_use_is_told_at_once(tmp_path, capsys):
  arguments = ["x", "--recipe=none.flags", f"--output={tmp_path}/no/p.html"]
  assert inspect.main(arguments) == 2
  error = capsys.readouterr().err
  assert error.count("Expected") == 3
  assert inspect.main(["x", "--recipe=derm_micle"]) == 2
  assert capsys.readouterr().err.count("Expected") == 1
  assert inspect.main(["x", "--data_dir=x", f"--output={tmp_path}"]) == 2
  assert "--output to be a file" in capsys.readouterr().err
  (tmp_path / "bad.flags").write_text("--image_size=2\n")
  data_dir = build(tmp_path, clean_rows())
  arguments = [f"--data_dir={data_dir}", f"--recipe={tmp_path}/bad.flags"]
  assert inspect.main(["x", *arguments]) == 2
  assert "--image_size" in capsys.readouterr().err


def test_pairs_are_what_a_run_would_see(demo_records, tmp_path, eagerly):
  """--show_pairs draws the picture that a run begins with, to the pixel."""
  common = {"data_dir": demo_records, "use_micle": True, "train_steps": 1}
  common.update(lineareval_while_pretraining=False, views_per_bag=3)
  shown, made = tmp_path / "p.png", tmp_path / "run"
  assert tiny.command(show_pairs=shown, **common) == run.DONE
  assert tiny.command(model_dir=made, **common) == run.DONE
  expected = np.asarray(Image.open(made / "positive_pairs.png"))
  np.testing.assert_array_equal(np.asarray(Image.open(shown)), expected)


def test_near_duplicates_are_as_in_a_naive_loop():
  draw = np.random.default_rng(0)
  signatures = draw.normal(size=(1200, 20)) * np.linspace(1, 5, 20) + 7
  signatures[1100] = signatures[3] + 0.01
  signatures[700] = signatures[1100] + 0.01
  spread = signatures.std(0)
  z = (signatures - signatures.mean(0)) / (spread + 0.1 * spread.max())
  z /= np.linalg.norm(z, axis=1)[:, None]
  alike = {
    (i, j)
    for i in range(1200)
    for j in range(i)
    if z[i] @ z[j] > near_duplicates.ALIKE
  }
  assert alike == {(1100, 3), (700, 3), (1100, 700)}
  groups = near_duplicates.groups(signatures)
  assert groups[3] == groups[700] == groups[1100]
  assert len(set(groups)) == 1198
  assert len(set(near_duplicates.groups(np.ones((40, 20))))) == 1


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_a_difference_counts_patients_not_images(shift):
  """Thirty images a patient make no chance difference significant."""
  draw = np.random.default_rng(3)
  patients = np.repeat(np.arange(40), 30)
  groups = np.where(patients < 20, "a", "b")
  own = draw.normal(size=40)[patients]
  values = own + draw.normal(size=1200) * 0.1 + shift * (groups == "a")
  found = dict(differences.of_means(values, groups, patients))
  assert sorted(found) == (["a", "b"] if shift else [])
  if shift:
    means = [values[patients == p].mean() for p in range(40)]
    a, b = np.array(means[:20]), np.array(means[20:])
    size = (a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    np.testing.assert_allclose(found["a"], size)
    np.testing.assert_allclose(found["b"], -size)


def test_shares_differ_where_patients_do():
  patients = np.repeat(np.arange(40), 3)
  groups = np.where(patients < 20, "a", "b")
  same = np.where(patients % 2, "x", "y")
  other = np.where(patients < 24, "x", "y")
  assert not list(differences.of_shares(same, groups, patients))
  found = dict(differences.of_shares(other, groups, patients))
  assert found == {"a": pytest.approx(0.8), "b": pytest.approx(0.8)}
