"""Two logical CPU devices stand in for two GPUs in every test."""

import gc
import os
import pathlib
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import tensorflow as tf

from tf_micle.system import distribution

gc.set_threshold(50_000)  # As in run.py.
tf.config.set_logical_device_configuration(
  tf.config.list_physical_devices("CPU")[0],
  [tf.config.LogicalDeviceConfiguration()] * 2,
)


# Minutes each: they begin first, so that the processes end together.
_SLOW = {
  *("test_exact_resume", "test_workers", "test_start_from_published"),
  *("test_run", "test_export_command", "test_finetune_command", "test_study"),
  *("test_disk_faults", "test_dicom_page", "test_predict_resume"),
}


def pytest_collection_modifyitems(items):
  items.sort(key=lambda item: item.path.stem not in _SLOW)


@pytest.fixture
def eagerly():
  """Steps without tracing, which takes a deep network most of a minute."""
  tf.config.run_functions_eagerly(True)
  yield
  tf.config.run_functions_eagerly(False)


@pytest.fixture
def saved(tmp_path, monkeypatch):
  """The working directory, with what an earlier version saved in it."""
  fixtures = pathlib.Path(__file__).parent / "fixtures"
  with zipfile.ZipFile(fixtures / "earlier_version.zip") as archive:
    archive.extractall(tmp_path)
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.fixture(scope="session")
def two_replicas():
  """A strategy over both logical devices."""
  return distribution.choose("mirrored")


@pytest.fixture(scope="session")
def demo_records(tmp_path_factory):
  """A small demo data set, through the builder as anybody's data."""
  from data.builder import build
  from data.demo import dataset as demo_dataset

  folder = tmp_path_factory.mktemp("demo")
  manifest = demo_dataset.write_demo(
    folder / "images", patients={"train": 12, "validation": 6, "test": 3}
  )
  build.build(
    build.BuildOptions(
      manifest=manifest,
      image_root=str(folder / "images"),
      output_dir=str(folder / "records"),
      workers=1,
    )
  )
  return str(folder / "records")
