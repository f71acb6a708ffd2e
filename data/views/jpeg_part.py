"""Decoding of the part of a JPEG that crops cover: exact, or fast."""

from __future__ import annotations

import functools

import tensorflow as tf

# The colours of a JPEG's pixel depend on its neighbours in a block of up to 16:
# a part that is decoded alone may differ along its edge.
_MARGIN = 16
# Of a side, that the decoder can leave out from the start.
_RATIOS = (1, 2, 4, 8)


def exact(encoded, shape, crops, view, **decoder):
  """Decodes the part of a JPEG that holds all crops.

  Args:
    encoded: string ().
    shape: int32 (3,), the image's.
    crops: list of a first row and column, int32 (2,), and a size, int32 (2,).
    view: pixels a side of the views; not used.
    **decoder: what `tf.io.decode_and_crop_jpeg` takes.

  Returns:
    uint8 (h, w, 3), equal to that part of the whole image; int32 (2,), its
    first row and column; and the crops.
  """
  del view
  begins = tf.stack([begin for begin, _ in crops])
  ends = tf.stack([begin + size for begin, size in crops])
  first = tf.reduce_min(begins, axis=0) - _MARGIN
  last = tf.reduce_max(ends, axis=0) + _MARGIN
  first, last = tf.maximum(first, 0), tf.minimum(last, shape[:2])
  window = tf.concat([first, last - first], axis=0)
  image = tf.io.decode_and_crop_jpeg(encoded, window, channels=3, **decoder)
  return image, first, crops


def fast(encoded, shape, crops, view):
  """As `exact`, by coarser arithmetic, and at less than the full size.

  The image is decoded at a half, a quarter or an eighth of its sides, as long
  as the crops' sides are no shorter than the view's then.

  Args:
    encoded: as in `exact`.
    shape: as in `exact`.
    crops: as in `exact`.
    view: pixels a side of the views.

  Returns:
    As `exact`, with the place and the crops in pixels of what is returned.
  """
  shortest = tf.reduce_min(tf.stack([size for _, size in crops]))
  enough = shortest >= view * tf.constant(_RATIOS[1:])

  def at(ratio):
    scaled = []
    for begin, size in crops:
      first, last = (
        (place + ratio // 2) // ratio for place in (begin, begin + size)
      )
      scaled.append((first, last - first))
    return exact(
      encoded,
      -(-shape // ratio),
      scaled,
      view,
      ratio=ratio,
      dct_method="INTEGER_FAST",
      fancy_upscaling=False,
    )

  return tf.switch_case(
    tf.reduce_sum(tf.cast(enough, tf.int32)),
    [functools.partial(at, ratio) for ratio in _RATIOS],
  )


DECODERS = {"exact": exact, "fast": fast}
