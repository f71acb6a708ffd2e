"""Whatever comes in: accepted plus rejected are the rows that were given."""

import csv
import io
import random
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
from hypothesis import strategies as st
from PIL import Image

from data.builder import build
from data.problems import InputError
from data.records import dataset_json

MUTANTS = 2000


def sources():
  """Returns small files of every format that the builder takes."""
  draw = np.random.default_rng(0)
  pixels = draw.integers(0, 256, (5, 7, 3), np.uint8)
  picture = Image.fromarray(pixels).resize((24, 18), Image.Resampling.BICUBIC)
  exif = Image.Exif()
  exif[0x0112] = 6
  alpha = picture.copy()
  alpha.putalpha(picture.convert("L"))
  deep = Image.fromarray(np.asarray(picture)[..., 0].astype(np.uint16) * 257)

  def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()

  return [
    encode(picture, "JPEG", exif=exif),
    encode(picture, "JPEG", progressive=True),
    encode(picture.convert("CMYK"), "JPEG"),
    encode(picture, "PNG"),
    encode(alpha, "PNG"),
    encode(deep, "PNG"),
    encode(picture.quantize(16), "PNG"),
    encode(picture, "BMP"),
    encode(picture, "GIF"),
    encode(picture, "TIFF"),
    encode(picture, "TIFF", compression="tiff_deflate"),
    encode(deep, "TIFF"),
    encode(picture, "WEBP"),
    encode(picture, "PPM"),
  ]


def mutate(content, draw, others):
  """Returns a file with some of what goes wrong with files."""
  content = bytearray(content)
  for _ in range(draw.choice([0, 1, 1, 2, 5])):
    place = draw.randrange(len(content))
    kind = draw.randrange(6)
    if kind == 0:
      content[place] ^= 1 << draw.randrange(8)
    elif kind == 1:
      del content[place:]
    elif kind == 2:
      content[place:place] = draw.randbytes(draw.randrange(1, 40))
    elif kind == 3:
      content[place : place + 4] = b"\xff\xff\xff\xff"
    elif kind == 4:
      content[: min(place, 64)] = draw.choice(others)[: min(place, 64)]
    else:
      del content[place : place + draw.randrange(1, 40)]
    if not content:
      return b""
  return bytes(content)


def counts(output):
  """Returns (images accepted, rows rejected) of a finished build."""
  description = dataset_json.load(output)
  accepted = sum(split.images for split in description.splits.values())
  path = output / "rejected.csv"
  if not path.exists():
    return accepted, 0
  with open(path, newline="", encoding="utf-8") as file:
    return accepted, len(list(csv.DictReader(file)))


def test_two_thousand_mutated_images(tmp_path):
  draw, files = random.Random(0), sources()
  rows = ["image,patient_id,label"]
  for number in range(MUTANTS):
    content = mutate(draw.choice(files), draw, files)
    (tmp_path / f"{number}.img").write_bytes(content)
    rows.append(f"{number}.img,p{number // 3},{'ab'[number // 3 % 2]}")
  (tmp_path / "manifest.csv").write_text("\n".join(rows))
  output = tmp_path / "records"
  build.build(
    build.BuildOptions(
      str(tmp_path / "manifest.csv"),
      str(tmp_path),
      str(output),
      on_bad_image="skip",
      workers=1,
    )
  )
  accepted, rejected = counts(output)
  assert accepted + rejected == MUTANTS
  assert 0.2 * MUTANTS < rejected < 0.8 * MUTANTS


CELLS = st.one_of(
  st.sampled_from(
    ["", "a.png", "b.png", "c.png", "gone.png", "../a.png", "NA"]
  ),
  st.sampled_from(["p1", "p2", "P1 ", "train", "test", "1", "0", "-1", "nan"]),
  st.sampled_from(["<script>", "=1+1", '"', "'", "a;b", "a\tb", "/etc/passwd"]),
  st.text(max_size=6),
)
HEADERS = st.lists(
  st.one_of(
    st.sampled_from(["image", "patient_id", "label", "split", "image"]),
    st.text(max_size=5),
  ),
  max_size=6,
)


@hypothesis.settings(
  max_examples=120,
  deadline=None,
  derandomize=True,
  suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(
  header=HEADERS,
  rows=st.lists(st.lists(CELLS, max_size=7), max_size=12),
  delimiter=st.sampled_from([",", ";", "\t", "|"]),
  encoding=st.sampled_from(["utf-8", "utf-16", "cp1252", "latin-1"]),
  quoted=st.booleans(),
)
def test_any_manifest(header, rows, delimiter, encoding, quoted):
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    images = folder / "images"
    images.mkdir()
    for image in ("a.png", "b.png", "c.png"):
      Image.new("RGB", (4, 4)).save(images / image)
    lines = [
      delimiter.join(
        '"' + cell.replace('"', '""') + '"' if quoted else cell for cell in row
      )
      for row in (header, *rows)
    ]
    content = "\n".join(lines).encode(encoding, errors="replace")
    (folder / "manifest.csv").write_bytes(content)
    given = sum(any(cell.strip() for cell in row) for row in rows)
    _build_or_refuse(folder, images, given if quoted else None)


def _build_or_refuse(folder, images, given):
  """Builds; where that is refused, nothing may have been written."""
  output = folder / "records"
  options = build.BuildOptions(
    str(folder / "manifest.csv"),
    str(images),
    str(output),
    on_bad_image="skip",
    workers=1,
  )
  before = sorted(images.iterdir())
  try:
    build.build(options)
  except InputError:
    assert not output.exists()
  else:
    accepted, rejected = counts(output)
    assert accepted + rejected > 0
    assert given in (None, accepted + rejected)
  assert sorted(images.iterdir()) == before
  left = {path.name for path in folder.iterdir()}
  assert left <= {"manifest.csv", "images", "records", "records.id_key"}
