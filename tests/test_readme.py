"""Every command that the documents print is one that the programs take."""

import pathlib
import re
import runpy
import shlex

import pytest
from absl import flags

import run
from data import build_tfrecords, inspect

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = [
  ROOT / "README.md",
  *sorted((ROOT / "docs").glob("*.md")),
  *sorted((ROOT / "flags" / "recipes").glob("*.flags")),
]
_COMMAND = re.compile(
  r"python (run\.py|-m data\.build_tfrecords) ((?:[^\n`]|\\\n)*)"
)


def commands():
  """Yields (document, program, arguments) of each command printed."""
  for document in DOCUMENTS:
    text = re.sub(r"^# ?", "", document.read_text(), flags=re.M)
    for program, words in _COMMAND.findall(text.replace("\\\n", " ")):
      yield document.name, program, shlex.split(words, comments=True)


COMMANDS = list(commands())


def test_commands_were_found():
  names = {document for document, _, _ in COMMANDS}
  assert {"README.md", "data_format.md", "derm_micle.flags"} <= names
  assert len(COMMANDS) >= 10


@pytest.mark.parametrize(("document", "program", "arguments"), COMMANDS)
def test_command_parses(document, program, arguments, monkeypatch):
  monkeypatch.chdir(ROOT)
  if program == "run.py":
    if "--help" not in arguments:
      flags.FLAGS.unparse_flags()
      run.parse(["run.py", *arguments])
  else:
    modules = {"build_tfrecords": build_tfrecords, "inspect": inspect}
    values = modules[program.rpartition(".")[2]].define_flags()
    assert len(values(["command", *arguments])) == 1


def test_the_two_set_up_commands_share_a_virtual_environment():
  blocks = re.findall(
    r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S
  )
  demo, tests = blocks[:2]
  assert "run.py --mode=pretrain --use_micle\n" in demo
  assert "-m pytest " in tests
  for block in (demo, tests):
    assert set(re.findall(r"\S*venv/bin/", block)) == {".venv/bin/"}
    for path in re.findall(r"-r (\S+)", block):
      assert (ROOT / path).exists()


def test_documents_that_are_named_exist():
  for document in DOCUMENTS[:1] + sorted((ROOT / "docs").glob("*.md")):
    text = document.read_text()
    for target in re.findall(r"\]\(([^):#]+)\)", text):
      assert (document.parent / target).exists(), (document.name, target)
    for script in re.findall(r"benchmarks/\w+\.py", text):
      assert (ROOT / script).exists(), (document.name, script)


def test_the_page_of_flags_is_made_from_the_flags():
  made = runpy.run_path(str(ROOT / "docs" / "flags_page.py"))["page"]()
  told = (ROOT / "docs" / "flags.md").read_text()
  assert told == made, "run: python docs/flags_page.py > docs/flags.md"
