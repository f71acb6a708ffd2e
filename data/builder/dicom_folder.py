"""Manifest of a folder of DICOM files, from their headers."""

from __future__ import annotations

import collections
import csv
import os
import shlex
from collections.abc import Iterator

import tqdm

from data.images.dicom import is_dicom, is_read
from data.images.pillow_decoding import BadImageError, explained, read_head
from data.images.worker_pool import WorkerPool, default_workers
from data.problems import InputError, Problem, counted

# Of each: the header's elements, of which the first that is there counts.
_ELEMENTS = {
  "patient_id": ("PatientID",),
  "study": ("StudyInstanceUID",),
  "series": ("SeriesInstanceUID",),
  "modality": ("Modality",),
  "view": ("ViewPosition",),
  "laterality": ("ImageLaterality", "Laterality"),
  "site": ("InstitutionName",),
}
_METADATA = ("modality", "view", "laterality", "site")
_MOST_VALUES = 50  # of a metadata column
_NO_DICOM = "not DICOM"
_CHUNK = 64


def write_manifest(
  folder: str,
  output: str,
  workers: int | None = None,
  show_progress: bool = False,
) -> str:
  """Writes the manifest of all DICOM images in a folder and those below it.

  It has ids as the headers have them, and is readable by its owner alone.

  Args:
    folder: to look in.
    output: CSV file to write; there must be none yet.
    workers: processes; None: one a core.
    show_progress: whether to draw a progress bar on standard error.

  Returns:
    What to print: counts, what was left out, and what to do next.

  Raises:
    InputError: no such folder, no image in it, or there is such a file.
    OSError: the file cannot be written.
  """
  problems = list(_problems(folder, output))
  if problems:
    raise InputError(problems)
  paths = sorted(
    os.path.join(place, name)
    for place, _, names in os.walk(folder)
    for name in names
  )
  rows, left_out = [], collections.defaultdict(list)
  with WorkerPool(workers or default_workers(), len(paths)) as pool:
    results = pool.ordered_map(_read, ((path, path) for path in paths), _CHUNK)
    for path, found in tqdm.tqdm(
      results,
      desc="Reading headers",
      total=len(paths),
      unit=" files",
      disable=not show_progress,
    ):
      image = os.path.relpath(path, folder).replace(os.sep, "/")
      if isinstance(found, str):
        left_out[found].append(image)
      else:
        rows.append({"image": image, **found})
  if not rows:
    message = (
      f"--from_dicom: Expected DICOM images in {folder!r}. Received: none in "
      f"{counted(len(paths), 'file')}."
    )
    raise InputError([Problem("no images", message)])
  _write(output, rows)
  return "\n".join(_summary(folder, output, rows, left_out))


def _problems(folder: str, output: str) -> Iterator[Problem]:
  if not is_read():
    message = "Expected Python 3.10 or later, which pydicom 3 is for."
    yield Problem("bad option", f"--from_dicom: {message}")
  if not os.path.isdir(folder):
    message = f"Expected a folder. Received: {folder!r}, which is none."
    yield Problem("bad option", f"--from_dicom: {message}")
  if os.path.lexists(output):
    yield Problem(
      "bad option",
      "--output: Expected a file that does not exist yet. Received: "
      f"{output!r}, which may have been edited: remove it or name another.",
    )
  elif not os.path.isdir(os.path.dirname(output) or "."):
    message = f"Expected a file in a folder. Received: {output!r}."
    yield Problem("bad option", f"--output: {message}")


def _read(path: str) -> dict[str, str] | str:
  """Returns a file's cells, or why it is left out; in a worker."""
  try:
    if not os.path.isfile(path) or not is_dicom(read_head(path)):
      return _NO_DICOM
    if path != path.encode(errors="replace").decode():
      return "its name is not UTF-8: rename it"
    from data.images import dicom_header  # Imports pydicom.

    with explained(OSError), open(path, "rb") as file:
      header = dicom_header.read(file)
    with explained():
      cells = {
        column: _text(header.dataset, names)
        for column, names in _ELEMENTS.items()
      }
  except BadImageError as error:
    return str(error)
  return {**cells, "number_of_frames": str(header.frames)}


def _text(dataset, names: tuple[str, ...]) -> str:
  values = (" ".join(str(dataset.get(name) or "").split()) for name in names)
  return next((value for value in values if value), "")


def _write(output: str, rows: list[dict[str, str]]) -> None:
  partial = f"{output}.partial"
  mode = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
  try:
    descriptor = os.open(partial, mode, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
      writer = csv.DictWriter(file, list(rows[0]))
      writer.writeheader()
      writer.writerows(rows)
      file.flush()
      os.fsync(file.fileno())
    os.replace(partial, output)
  finally:
    if os.path.lexists(partial):
      os.unlink(partial)


def _summary(folder, output, rows, left_out) -> Iterator[str]:
  values = {name: {row[name] for row in rows} for name in rows[0]}
  ids = {name: len(values[name] - {""}) for name in ("patient_id", "study")}
  yield (
    f"Wrote {output!r}: {counted(ids['patient_id'], 'patient')}, "
    f"{counted(ids['study'], 'study')}, {counted(len(rows), 'image')}, "
    f"{counted(sum(int(r['number_of_frames']) for r in rows), 'frame')}"
  )
  others = len(left_out.pop(_NO_DICOM, ()))
  if others:
    yield f"  {counted(others, 'file')} left out: not DICOM"
  for reason, images in left_out.items():
    first = images[0].encode(errors="replace").decode()
    yield f"  {counted(len(images), 'file')} left out: {reason}: {first}"
  for name in ids:
    empty = sum(not row[name] for row in rows)
    if empty:
      yield f"Note: {counted(empty, 'image')} without {name}: fill it in."
  yield "It has the headers' own ids: keep it with the images."
  kept = [n for n in _METADATA if 1 < len(values[n]) <= _MOST_VALUES]
  words = [f"--manifest={output}", f"--image_root={folder}"]
  words += ["--output_dir=RECORDS"]
  words += [f"--metadata_columns={','.join(kept)}"] if kept else []
  yield "Next: look at it, add a column label if there are labels, then"
  yield f"  {shlex.join(['python', '-m', 'data.build_tfrecords', *words])}"
