"""Checks of `--runner`, and of Apache Beam's options, before slow work.

Beam is imported only where it is asked for.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shlex
from collections.abc import Iterator

RUNNERS = ("local", "beam")

_ABSENT = (
  "--runner=beam: Expected Apache Beam. Received: a Python without it: pip "
  "install -r requirements-beam.txt"
)
_WITH_JOB_SERVER = ("Flink", "Spark", "Portable")


def check(
  runner: str, beam_options: str | None, workers: int | None
) -> Iterator[str]:
  """Yields what is wrong with the flags of these names."""
  if runner not in RUNNERS:
    yield f"--runner: Expected {' or '.join(RUNNERS)}. Received: {runner!r}."
  elif runner == "beam":
    if workers is not None:
      yield (
        "--workers: Expected none beside --runner=beam, whose runner knows its "
        f"workers. Received: {workers}: say it in --beam_options, as "
        "--direct_num_workers or --parallelism."
      )
    if importlib.util.find_spec("apache_beam") is None:
      yield _ABSENT
    else:
      yield from _check_pipeline(beam_options)
  elif beam_options is not None:
    yield (
      "--beam_options: Expected --runner=beam with it. Received: "
      f"{beam_options!r} for --runner=local."
    )


def _check_pipeline(beam_options: str | None) -> Iterator[str]:
  from apache_beam.options import pipeline_options
  from apache_beam.options.pipeline_options_validator import (
    PipelineOptionsValidator,
  )
  from apache_beam.runners import create_runner

  told, parsers = io.StringIO(), []
  try:
    words = shlex.split(beam_options or "")
    with contextlib.redirect_stderr(told):
      options = pipeline_options.PipelineOptions(words)
      options.get_all_options(add_extra_args_fn=parsers.append)
    name = options.view_as(pipeline_options.StandardOptions).runner
    runner = create_runner(name or "DirectRunner")
    problems = PipelineOptionsValidator(options, runner).validate()
    unknown = parsers[0].parse_known_args(words)[1]
    # The job servers of others have options of their own, and check them.
    if unknown and not (name or "").startswith(_WITH_JOB_SERVER):
      problems += [f"Beam knows no option {' '.join(unknown)}"]
  except SystemExit:  # argparse's.
    problems = [told.getvalue().strip().rpartition("\n")[2]]
  except Exception as error:  # Whatever a runner that misses something raises.
    problems = [str(error)]
  for problem in problems:
    yield (
      "--beam_options: Expected options of a Beam pipeline. Received: "
      f"{beam_options!r}: {problem}"
    )
