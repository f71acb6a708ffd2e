"""Journal of a study: which jobs are done, and how long each took."""

from __future__ import annotations

import collections
import json
import os

from tf_micle.runs import folder as run_folder

FILE_NAME = "jobs.jsonl"


class Journal:
  """The lines of jobs.jsonl: one each time that a job ends.

  A line has the job's name, kind, like, told and arguments (see `jobs.Job`),
  its exit status and seconds, and of an evaluation which run was `picked` and
  in which `folder` of that run it is.
  """

  def __init__(self, folder: str | os.PathLike):
    """Reads what is there; a last line that was cut off is dropped.

    Raises:
      InputError: another line is damaged.
    """
    self._path = os.path.join(folder, FILE_NAME)
    self._last, self._seconds = {}, collections.Counter()
    self._known = collections.defaultdict(list)
    with open(self._path, "a+b") as file:
      file.seek(0)
      text = file.read()
      whole = text[: text.rfind(b"\n") + 1]
      file.truncate(len(whole))
    for number, line in enumerate(whole.splitlines(), start=1):
      try:
        self._add(json.loads(line))
      except (ValueError, TypeError, KeyError) as error:
        raise run_folder.damaged(
          self._path, f"line {number}: {error!r}"
        ) from error

  def done(self, name: str) -> bool:
    """Whether a job has come to a good end."""
    return self.last(name).get("status") == 0

  def last(self, name: str) -> dict:
    """The newest line of a job; {} where there is none."""
    return self._last.get(name, {})

  def seconds(self, name: str) -> float:
    """How long a job took, parts before it was stopped included."""
    return self._seconds[name]

  def expected(self, job) -> float | None:
    """How long a job may take: as those like it did, else those of its kind."""
    known = self._known.get(job.like) or self._known.get(job.kind)
    return sum(known) / len(known) if known else None

  def note(self, job, status: int, seconds: float, **more) -> None:
    """Adds a line, on the disk before this returns."""
    names = ("name", "kind", "like", "told", "arguments")
    row = {name: getattr(job, name) for name in names}
    row |= {"status": status, "seconds": round(seconds, 1), **more}
    with open(self._path, "a", encoding="utf-8") as file:
      file.write(json.dumps(row) + "\n")
      file.flush()
      os.fsync(file.fileno())
    self._add(row)

  def _add(self, row):
    self._seconds[row["name"]] += row["seconds"]
    self._last[row["name"]] = row
    if row["status"] == 0:
      for key in (row["like"], row["kind"]):
        self._known[key].append(self._seconds[row["name"]])
