"""`--runner=beam`: the local builder's files to the byte, and what it refuses.

Beam is optional. Where it is absent, its job is done in this process: numbers
in any order, some of them twice, as a cluster may. Where it is there, two
worker processes of its DirectRunner do it.
"""

import importlib.util
import sys

import pytest
from build_site import Site, patients
from PIL import Image

from data.build_tfrecords import main
from data.builder import beam_options, beam_pool

_TWO_WORKERS = (
  "--runner=DirectRunner --direct_num_workers=2 "
  "--direct_running_mode=multi_processing"
)
_INSTALLED = importlib.util.find_spec("apache_beam") is not None


def in_this_process(pool, folder, batches):
  for number in [*reversed(range(batches)), *range(0, batches, 2)]:
    beam_pool._work(number, str(folder), pool._image_root)


@pytest.fixture(
  params=[
    "no Beam",
    pytest.param(
      "Beam", marks=pytest.mark.skipif(not _INSTALLED, reason="no apache_beam")
    ),
  ]
)
def beam(request, monkeypatch):
  """Flags of a build through Beam, or through what stands in for it."""
  if request.param == "Beam":
    return {"runner": "beam", "beam_options": _TWO_WORKERS}
  monkeypatch.setattr(beam_options, "check", lambda *flags: ())
  monkeypatch.setattr(beam_pool.BeamPool, "_run", in_this_process)
  return {"runner": "beam"}


@pytest.fixture
def site(tmp_path):
  """40 patients: an image to shrink, equal images, broken and missing ones."""
  site = Site(tmp_path)
  header = "image,patient_id,label,site"
  site.write(header, *[[*row, row[1][-1]] for row in patients(40)])
  Image.effect_noise((700, 600), 40).save(site.images / "folder3/secret3-1.png")
  for name in ("4/secret4-0", "5/secret5-0", "5/secret5-1"):
    path = site.images / f"folder{name}.png"
    path.write_bytes(path.read_bytes()[:50])  # The header is still sound.
  (site.images / "folder6/secret6-0.png").unlink()
  equal = (site.images / "folder9/secret9-0.png").read_bytes()
  (site.images / "folder8/secret8-0.png").write_bytes(equal)
  return site


def run(site, output, **flags):
  flags = {
    "output_dir": site.root / output,
    "id_key_file": site.root / "key",
    "name": "bags",
    "metadata_columns": "site",
    "images_per_shard": 2,
    **flags,
  }
  given = site.flags(**flags)
  if flags.get("runner") == "beam":
    given.remove("--workers=1")
  return main(["build_tfrecords", *given])


def report_of(capsys):
  """What was told of problems, behind the progress bar."""
  return capsys.readouterr().err.partition(" found, nothing was written")[2]


def files(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_files_to_the_byte(site, capsys, beam):
  assert run(site, "here", on_bad_image="skip") == 0
  told = capsys.readouterr().out
  assert run(site, "beam", on_bad_image="skip", **beam) == 0
  assert capsys.readouterr().out == told.replace("/here", "/beam")
  assert "equals one of another row to the bit" in told
  expected = files(site.root / "here")
  assert len([name for name in expected if "tfrecord-" in name]) > 30
  assert expected["rejected.csv"].count(b"\n") == 5
  assert files(site.root / "beam") == expected
  assert not list(site.root.glob("*.building-*"))


def test_what_is_wrong_is_told_alike_and_leaves_nothing(site, capsys, beam):
  assert run(site, "here") == 2  # A missing image.
  told = report_of(capsys)
  assert run(site, "beam", **beam) == 2
  assert report_of(capsys) == told
  assert "there is no such file" in told
  assert {path.name for path in site.root.iterdir()} == {
    "secret-images",
    "manifest.csv",
  }


def test_a_failed_job_leaves_nothing(site, capsys, monkeypatch):
  def fails(pool, folder, batches):
    raise beam_pool.BeamError("Beam's job failed; its runner told:\nno slots")

  monkeypatch.setattr(beam_options, "check", lambda *flags: ())
  monkeypatch.setattr(beam_pool.BeamPool, "_run", fails)
  assert run(site, "beam", runner="beam") == 1
  assert "nothing was written. Beam's job failed" in capsys.readouterr().err
  assert {path.name for path in site.root.iterdir()} == {
    "secret-images",
    "manifest.csv",
  }


def test_a_worker_without_the_images_fails_rather_than_rejects(tmp_path):
  (tmp_path / "unmounted").mkdir()
  with pytest.raises(FileNotFoundError, match="all workers see"):
    beam_pool._work(0, str(tmp_path), str(tmp_path / "unmounted"))


def test_work_files_name_no_patient(site, monkeypatch):
  written = []

  def run_and_read(pool, folder, batches):
    in_this_process(pool, folder, batches)
    written.extend(path.read_bytes() for path in folder.iterdir())

  monkeypatch.setattr(beam_options, "check", lambda *flags: ())
  monkeypatch.setattr(beam_pool.BeamPool, "_run", run_and_read)
  assert run(site, "beam", on_bad_image="skip", runner="beam") == 0
  assert written
  assert not [text for text in written if b"SECRET" in text]


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--runner=beam", "--workers=2"], "--workers: Expected none beside"),
    (["--beam_options=--runner=X"], "--beam_options: Expected --runner=beam"),
  ],
)
def test_flags_that_do_not_go_together(site, capsys, flags, message):
  given = [f for f in site.flags() if f != "--workers=1"]
  assert main(["build_tfrecords", *given, *flags]) == 2
  assert message in capsys.readouterr().err


def test_absent_beam_is_told_with_the_command(site, capsys, monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  assert run(site, "beam", runner="beam") == 2
  told = capsys.readouterr().err
  assert "pip install -r requirements-beam.txt" in told
  assert not list(site.root.glob("beam*"))


def test_the_local_builder_does_not_import_beam(site, monkeypatch):
  monkeypatch.setitem(sys.modules, "apache_beam", None)
  assert run(site, "here", on_bad_image="skip") == 0


@pytest.mark.skipif(not _INSTALLED, reason="no apache_beam")
@pytest.mark.parametrize(
  "options",
  [
    "--runner=NoSuchRunner",
    "--direct_num_workers=two",
    "--direct_num_wokers=2",
    "runner=DirectRunner",
    "--runner='open",
    "--runner=DataflowRunner",
  ],
)
def test_bad_beam_options(site, capsys, options):
  assert run(site, "beam", runner="beam", beam_options=options) == 2
  told = capsys.readouterr().err
  assert "--beam_options: Expected options of a Beam pipeline" in told
  assert options in told
