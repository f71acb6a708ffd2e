"""run.py -> flags, data, tf_micle; within these, rooms import upwards only."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("data", "tf_micle", "flags")
# A room imports only rooms that stand before it; CONTRIBUTING.md has the map.
ROOMS = {
  "data": (
    "problems system_faults records manifest images sources builder demo views "
    "batches access command build_tfrecords file_views inspection inspect"
  ),
  "tf_micle": (
    "options system views optimization encoder runs classifier contrastive "
    "evaluation health loading training report study prediction serving modes"
  ),
}


def imported(path):
  """The dotted names of all imports in a file, wherever they stand."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: relative import"
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_level(path):
  """The first parts of the names that a file imports."""
  return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("package", PACKAGES)
def test_parts_do_not_import_each_other(package):
  files = list((ROOT / package).rglob("*.py"))
  assert files
  others = {"run", *PACKAGES} - {package}
  for path in files:
    assert not others & top_level(path), path


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_only_rooms_above_it(package):
  rooms = ROOMS[package].split()
  for path in (ROOT / package).rglob("*.py"):
    room = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
    if room == "__init__":  # The facade opens whatever it likes.
      continue
    assert room in rooms, f"{path}: a room that has no place in the order"
    for name in imported(path):
      parts = name.split(".")
      if parts[0] == package and parts[1] != room:
        assert rooms.index(parts[1]) < rooms.index(room), f"{path}: {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_of_imports(package):
  """Files may import each other within a room, but not in a circle."""
  files = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
  }
  uses = {
    name: {
      found
      for one in imported(path)
      for found in (one, one.rpartition(".")[0])
      if found in files
    }
    for name, path in files.items()
  }
  left = dict(uses)
  while left:
    free = [name for name, used in left.items() if not used & left.keys()]
    assert free, f"circle among {sorted(left)}"
    for name in free:
      del left[name]


def test_addons_is_imported_in_one_file():
  users = [
    path.name
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "tensorflow_addons" in top_level(path)
  ]
  assert users == ["warp.py"]


def test_help_needs_no_tensorflow():
  program = (
    "import sys; sys.modules['tensorflow'] = None; sys.argv = ['run', '--help']"
    ";import runpy; runpy.run_path('run.py', run_name='__main__')"
  )
  done = subprocess.run(
    [sys.executable, "-c", program],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert "--[no]use_micle" in done.stdout
