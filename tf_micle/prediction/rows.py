"""Rows of the output, and of what goes with it, from finished items."""

from __future__ import annotations

import numpy as np

from tf_micle.evaluation import scoring
from tf_micle.evaluation.predictions_csv import text_to_cell
from tf_micle.prediction import partial_files, projector


class RowWriter:
  """Writes items into `partial_files.PredictionFiles`, each once."""

  def __init__(
    self,
    files,
    *,
    class_names,
    unit,
    points,
    for_spreadsheets,
    keep_features,
    keep_thumbnails,
  ):
    """Makes the writer.

    Args:
      files: open `PredictionFiles`, by the time that `write` is called.
      class_names: in the order of the model's outputs.
      unit: 'image'; 'bag': then the images of an item are pooled; or 'patient':
        then their probabilities are averaged.
      points: `OperatingPoints` to decide by, or None.
      for_spreadsheets: whether class names that begin as a formula get an
        apostrophe.
      keep_features: whether features are kept.
      keep_thumbnails: whether what the projector needs is kept.
    """
    self._files = files
    self._class_names = class_names
    self._unit = unit
    self._points = points
    names = class_names
    if for_spreadsheets:
      names = [text_to_cell(name) for name in class_names]
    self._cells = names
    self._keep_features = keep_features or keep_thumbnails
    self._keep_thumbnails = keep_thumbnails

  def headers(self):
    """Returns the first row of each table, by name."""
    place = ["row", "image"] if self._unit == "image" else ["row"]
    patient = ["patient_id"] + ["bag_id"] * (self._unit == "bag")
    chances = [f"probability_{name}" for name in self._class_names]
    if self._points:
      chances += [f"decision_{name}" for name in self._class_names]
    return {
      partial_files.ROWS: [*place, *patient, *chances, "top_class"],
      partial_files.REJECTED: ["row", "image", "reason"],
      partial_files.METADATA: ["row", "image", "patient_id", "top_class"],
    }

  def write(self, model, complete, waiting):
    """Writes items and saves the state.

    Args:
      model: `model.Classifier`.
      complete: list of (item, dict of position to the reason why it is bad).
      waiting: dict of position to (features (f,), view uint8 (h, w, 3)); what
        is written is taken out.

    Raises:
      InputError: if a probability is not finite; nothing of it is saved.
    """
    if not complete:
      return
    known, features, members = [], [], []
    for item, bad in complete:
      good = [
        (row, waiting.pop(item.first + place))
        for place, row in enumerate(item.rows)
        if item.first + place not in bad
      ]
      self._reject(item, bad)
      if good:
        members.append(np.arange(len(features), len(features) + len(good)))
        features += [feature for _, (feature, _) in good]
        known.append(good)
    if known:
      features = np.stack(features)  # (images, f)
      chances = self._chances(model, features, members)
      for good, chance in zip(known, chances):
        self._add(good, chance)
      self._keep(known, features, chances)
    self._files.counts["rows"] += len(known)
    self._files.counts["items"] += len(complete)
    self._files.save()

  def _chances(self, model, features, members):
    """Returns the probabilities of items, float (items, classes)."""
    if self._unit != "patient":
      return scoring.probabilities(model, features, members, self._unit)
    of_images = scoring.probabilities(model, features, members, "image")
    # As `predictions.by_patient` averages them.
    of_images = of_images.astype(np.float64)
    return np.stack([of_images[images].mean(axis=0) for images in members])

  def _reject(self, item, bad):
    rows = [
      [str(row.row), row.image, bad[item.first + place]]
      for place, row in enumerate(item.rows)
      if item.first + place in bad
    ]
    self._files.add_rows(partial_files.REJECTED, rows)
    self._files.counts["rejected"] += len(rows)

  def _add(self, good, chance):
    """Adds one row; ids and paths as the manifest has them."""
    first = good[0][0]
    if self._unit == "image":
      keys = [str(first.row), first.image, first.patient]
    else:
      rows = " ".join(str(row.row) for row, _ in good)
      keys = [rows, first.patient] + [first.bag] * (self._unit == "bag")
    # Nine digits tell any two float32 apart.
    values = [f"{value:.9g}" for value in chance]
    if self._points:
      called = self._points.called(chance, self._unit)
      values += ["" if np.isnan(one) else f"{one:.0f}" for one in called]
    top = self._cells[int(np.argmax(chance))]
    self._files.add_rows(partial_files.ROWS, [[*keys, *values, top]])

  def _keep(self, known, features, chances):
    if not self._keep_features:
      return
    rows = [row for good in known for row, _ in good]
    self._files.add_array(partial_files.FEATURES, features)
    self._files.add_array(
      partial_files.PLACES, np.array([row.row for row in rows], np.int64)
    )
    if self._keep_thumbnails:
      room = max(projector.MOST - self._files.counts["embedded"], 0)
      shown = [
        (row, view, self._class_names[int(np.argmax(chance))])
        for good, chance in zip(known, chances)
        for row, (_, view) in good
      ][:room]
      for row, view, top in shown:
        self._files.add_array(
          partial_files.THUMBNAILS, projector.thumbnail(view)
        )
        cells = [row.row, row.image, row.patient, top]
        self._files.add_rows(
          partial_files.METADATA, [[projector.cell(one) for one in cells]]
        )
    self._files.counts["embedded"] += len(rows)
