"""Parallel map through Apache Beam, on the machines of a cluster.

What is to do, and what came out, lie in files of a temporary folder beside the
output, which all machines must see; Beam itself carries numbers of files only.
So no path or id is part of a job, and a cluster that gives one piece of work
to two machines does no harm. Beam is imported when it is used.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pickle
import shlex
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from data.builder import temporary_folder
from data.problems import InputError


class BeamError(RuntimeError):
  """A job of Beam that failed, with what its runner said."""


class BeamPool:
  """What `WorkerPool` does, as jobs of Beam."""

  def __init__(self, beam_options: str | None, output: Path, image_root: str):
    """Takes where to work; does nothing yet.

    Args:
      beam_options: of the pipeline, as a shell takes them; checked.
      output: the folder that will be written; files lie beside it.
      image_root: folder that every worker must see.
    """
    self._words = shlex.split(beam_options or "")
    self._output, self._image_root = output, os.path.abspath(image_root)

  def __enter__(self) -> BeamPool:
    return self

  def __exit__(self, *exc_info) -> None:
    pass

  def ordered_map(
    self,
    function: Callable[[Any], Any],
    pairs: Iterable[tuple[Any, Any]],
    chunk: int,
  ) -> Iterator[tuple[Any, Any]]:
    """Yields (key, function(item)) for each pair, when all are done.

    Args:
      function: picklable; may be called twice for an item.
      pairs: what tells an item, which stays in this process, and the item.
      chunk: items that a worker does at once.

    Raises:
      InputError: as `function`, which is not called again then.
      BeamError: the job failed.
      OSError: the folder cannot be written.
    """
    with temporary_folder.sibling(self._output) as folder:
      _save(folder / "function", function)
      keys: list[tuple] = []
      pairs = iter(pairs)
      for batch in iter(lambda: list(itertools.islice(pairs, chunk)), []):
        _save(folder / str(len(keys)), [item for _, item in batch])
        keys.append(tuple(key for key, _ in batch))
      self._run(folder, len(keys))
      for number, keys_of_batch in enumerate(keys):
        results, problems = _load(folder / f"{number}.done")
        if problems:
          raise InputError(problems)
        yield from zip(keys_of_batch, results)

  def _run(self, folder: Path, batches: int) -> None:
    """Runs a job over the batches in a folder, to its end."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineState

    work = functools.partial(
      _work, folder=str(folder), image_root=self._image_root
    )
    # There are no triggers; said so, DirectRunner does not fetch another runner
    # from the network, which knows nothing of --direct_num_workers.
    words = [*self._words, "--allow_unsafe_triggers"]
    try:
      pipeline = beam.Pipeline(options=PipelineOptions(words))
      numbers = pipeline | "Batches" >> beam.Create(range(batches))
      numbers | beam.Reshuffle() | "Work" >> beam.Map(work)
      job = pipeline.run()
      try:
        state = job.wait_until_finish() or job.state
      except BaseException:  # Ctrl-C: a cluster would go on without us.
        with contextlib.suppress(Exception):
          job.cancel()
        raise
    except Exception as error:
      raise BeamError(
        f"Beam's job failed; its runner told:\n{error}"
      ) from error
    if state != PipelineState.DONE:
      raise BeamError(f"Beam's job ended as {state}: see its runner's log.")


def _work(number: int, folder: str, image_root: str) -> None:
  """Does one batch, on a worker; the last line says that it is done."""
  place = Path(folder)
  with os.scandir(image_root) as entries:
    if next(entries, None) is None:  # A mount that is missing on this machine.
      raise FileNotFoundError(
        f"{socket.gethostname()} sees no file in {image_root!r}: --image_root "
        "must lie on a file system that all workers see."
      )
  function = _load(place / "function")
  results, problems = [], ()
  try:
    for item in _load(place / str(number)):
      results.append(function(item))
  except InputError as error:
    problems = error.problems
  attempt = place / f"{number}-{uuid.uuid4().hex}"
  _save(attempt, (results, problems))
  os.replace(attempt, place / f"{number}.done")


def _save(path: Path, value: Any) -> None:
  with open(path, "wb") as file:
    pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)


def _load(path: Path) -> Any:
  with open(path, "rb") as file:
    return pickle.load(file)
