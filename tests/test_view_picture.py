"""The picture of positive pairs."""

import numpy as np
from PIL import Image

from tf_micle.views import view_picture


class Log:
  def write_picture(self, step, name, picture):
    self.written = step, name, picture


def places(picture, shade):
  """Top, left, bottom, right of what has a shade, the ends included."""
  rows, columns = np.nonzero((picture == shade).all(axis=-1))
  return rows.min(), columns.min(), rows.max(), columns.max()


def test_each_pair_stands_one_above_the_other():
  """Pair k is red of k / 10 + 0.1 above, 0.05 more below; words are grey."""
  reds = np.arange(8)[:, None] / 10 + np.array([0.1, 0.15])
  shades = np.stack([reds, 0 * reds, 0 * reds + 1], axis=-1)
  views = np.broadcast_to(shades[:, :, None, None], (8, 2, 96, 96, 3))
  picture = view_picture.view_picture(views, columns=4, rows=2)
  assert picture.dtype == np.uint8
  shades = np.round(255 * shades)
  for k in range(8):
    top, left, bottom, right = places(picture, shades[k, 0])
    assert (bottom - top, right - left) == (95, 95)
    assert places(picture, shades[k, 1]) == (top + 98, left, bottom + 98, right)
    # Its name is above it, and the views' beside the first one of a row.
    assert (picture[top - 28 : top, left : right + 1] < 128).any()
    if k % 4:
      assert places(picture, shades[k - 1, 0])[:2] == (top, left - 98)
    else:
      beside = picture[top : top + 196, :left].reshape(2, 98, left, 3)
      assert (beside < 128).any(axis=(1, 2, 3)).all()


def test_items_are_numbered_through():
  views = np.zeros((6, 2, 96, 96, 3))
  picture = view_picture.view_picture(views, columns=3)
  height = len(picture) // 2
  names = [picture[:28, 56:], picture[height : height + 28, 56:]]
  assert (names[0] != names[1]).any()  # 1 to 3, and 4 to 6.


def test_small_views_are_enlarged_and_few_pairs_leave_white(tmp_path):
  log, views = Log(), np.zeros((3, 2, 32, 32, 3))
  path = view_picture.write(views, tmp_path, log, name="positive_pairs")
  picture = np.asarray(Image.open(path))
  np.testing.assert_array_equal(picture, log.written[2])
  assert [file.name for file in tmp_path.iterdir()] == ["positive_pairs.png"]
  assert picture.shape[1] == 56 + 3 * 98
  assert (picture[28:124, 56:152] == 0).all()
  picture = view_picture.view_picture(views, columns=2)
  assert (picture[-200:, 56 + 98 :] == 255).all()
