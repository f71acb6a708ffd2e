"""run.py -> flags, data, tf_micle; these do not know each other."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MAY_IMPORT = {"data": {"data"}, "tf_micle": {"tf_micle"}, "flags": {"flags"}}


def imported(path):
  """The top-level names of all imports in a file, wherever they stand."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: relative import"
      yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_parts_do_not_import_each_other(package):
  files = list((ROOT / package).rglob("*.py"))
  assert files
  others = {"run", *MAY_IMPORT} - MAY_IMPORT[package]
  for path in files:
    assert not others & set(imported(path)), path


def test_addons_is_imported_in_one_file():
  users = [
    path.name
    for package in MAY_IMPORT
    for path in (ROOT / package).rglob("*.py")
    if "tensorflow_addons" in imported(path)
  ]
  assert users == ["geometry.py"]


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
