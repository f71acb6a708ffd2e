"""Journal of a study: which jobs are done, and how long each took."""

from __future__ import annotations

import json
import os

from tf_micle.runs import folder as run_folder

FILE_NAME = "jobs.jsonl"


class Journal:
  """The lines of jobs.jsonl: one each time that a job ends.

  A line is {"name", "told", "like", "kind", "arguments", "status", "seconds"}
  and what is noted of an evaluation, `picked` and `folder`.
  """

  def __init__(self, folder: str | os.PathLike):
    """Reads what is there; a last line that was cut off is left out.

    Raises:
      InputError: another line is damaged.
    """
    self._path = os.path.join(folder, FILE_NAME)
    self.rows = []
    whole = ""
    if os.path.exists(self._path):
      with open(self._path, encoding="utf-8") as file:
        text = file.read()
      whole = text[: text.rfind("\n") + 1]
      if whole != text:
        with open(self._path, "r+", encoding="utf-8") as file:
          file.truncate(len(whole.encode("utf-8")))
    for number, line in enumerate(whole.splitlines(), start=1):
      try:
        row = json.loads(line)
        row["seconds"] + row["status"], row["name"], row["like"], row["kind"]
      except (ValueError, TypeError, KeyError) as error:
        raise run_folder.damaged(
          self._path, f"line {number}: {error!r}"
        ) from error
      self.rows.append(row)

  def done(self, name: str) -> bool:
    """Whether a job has come to a good end."""
    return self.last(name).get("status") == 0

  def last(self, name: str) -> dict:
    """The newest line of a job; {} where there is none."""
    of_job = (row for row in reversed(self.rows) if row["name"] == name)
    return next(of_job, {})

  def seconds(self, name: str) -> float:
    """How long a job took, parts before it was stopped included."""
    return sum(row["seconds"] for row in self.rows if row["name"] == name)

  def expected(self, job) -> float | None:
    """How long a job may take: as those like it did, else of its kind."""
    for key in ("like", "kind"):
      known = [
        self.seconds(row["name"])
        for row in self.rows
        if row["status"] == 0 and row[key] == getattr(job, key)
      ]
      if known:
        return sum(known) / len(known)
    return None

  def note(self, job, status: int, seconds: float, **more) -> None:
    """Adds a line, on the disk before this returns."""
    row = {
      "name": job.name,
      "told": job.told,
      "like": job.like,
      "kind": job.kind,
      "arguments": list(job.arguments),
      "status": status,
      "seconds": round(seconds, 1),
      **more,
    }
    with open(self._path, "a", encoding="utf-8") as file:
      file.write(json.dumps(row) + "\n")
      file.flush()
      os.fsync(file.fileno())
    self.rows.append(row)
