"""The picture of positive pairs."""

import numpy as np

from tf_micle.views import view_picture


def test_each_pair_stands_one_above_the_other():
  """Pair k is grey k / 10 above and k / 10 + 0.05 below."""
  greys = np.arange(10)[:, None] / 10 + np.array([0, 0.05])
  views = np.broadcast_to(greys[..., None, None, None], (10, 2, 96, 96, 3))
  picture = view_picture.view_picture(views, columns=4, rows=2)
  assert picture.dtype == np.uint8
  for k in range(8):
    top, left = k // 4 * (2 * 98 + 6), k % 4 * 98
    np.testing.assert_array_equal(
      picture[top : top + 96, left : left + 96], round(255 * greys[k, 0])
    )
    np.testing.assert_array_equal(
      picture[top + 98 : top + 194, left : left + 96], round(255 * greys[k, 1])
    )


def test_small_views_are_enlarged_and_few_pairs_leave_white():
  picture = view_picture.view_picture(np.zeros((3, 2, 32, 32, 3)), columns=2)
  assert picture.shape[1] == 2 * 98
  assert (picture[-98:, -98:] == 255).all()
  assert (picture[:96, :96] == 0).all()
