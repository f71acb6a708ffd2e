"""Preprocessing of an encoded image in TensorFlow operations alone.

So it can be part of a served graph, in a process that has nothing of this
project. What it does to an image is what the builder and evaluation do to it
together: upright, transparency laid on white, 8 bits, shrunk to the longest
side of the records, central view.
"""

from __future__ import annotations

import tensorflow as tf

from data.images.decode import decode
from data.views import geometry

_PNG = b"\x89PNG\r\n\x1a\n"
_GIF = b"GIF8"
_PNG_BIT_DEPTH = 24  # Where a PNG's header says it; the colour type is next.
_PNG_ALPHA = 4  # A bit of the colour type.
_ORIENTATION = 0x0112
_MOST_SEGMENTS = 1000  # Of a file's head; more are no camera's.
_MOST_TAGS = 1000


def to_view(encoded, options, max_side):
  """Returns the central view of an encoded image.

  Args:
    encoded: string (), a JPEG, PNG, BMP or GIF file.
    options: `geometry.ViewOptions`; only what the central view needs counts.
    max_side: larger images are shrunk to this many pixels first.

  Returns:
    uint8 (image_size, image_size, 3).

  Raises:
    tf.errors.InvalidArgumentError: if it is none of these, damaged, or an
      animation.
  """
  image = _shrink(_decode(encoded), max_side)
  image = turn_upright(image, orientation(encoded))
  return geometry.center_view(image, options)


def to_views(encoded, options, max_side):
  """As `to_view`, of a batch: string (n,) to (n, image_size, image_size, 3)."""
  size = options.image_size
  return tf.map_fn(
    lambda one: to_view(one, options, max_side),
    encoded,
    fn_output_signature=tf.TensorSpec((size, size, 3), tf.uint8),
    parallel_iterations=64,
  )


def orientation(encoded):
  """Returns the EXIF orientation of a JPEG or PNG, int32 () in [1, 8].

  What has none, or one that is broken, is upright: 1. Those in XMP are not
  read.

  Args:
    encoded: string ().
  """
  is_png = tf.equal(tf.strings.substr(encoded, 0, 8), _PNG)
  start = tf.cond(
    is_png,
    lambda: _find_in_png(encoded, b"eXIf"),
    lambda: _exif_of_jpeg(encoded),
  )
  return tf.cond(start > 0, lambda: _orientation_at(encoded, start), lambda: 1)


def turn_upright(image, orientation):
  """Returns an image (h, w, c) as its EXIF orientation, int32 (), wants it."""

  def where(orientations, change, image):
    applies = tf.reduce_any(tf.equal(orientation, orientations))
    return tf.cond(applies, lambda: change(image), lambda: image)

  image = where((5, 6, 7, 8), lambda x: tf.transpose(x, (1, 0, 2)), image)
  image = where((2, 3, 6, 7), lambda x: tf.reverse(x, (1,)), image)
  return where((3, 4, 7, 8), lambda x: tf.reverse(x, (0,)), image)


def _decode(encoded):
  is_png = tf.equal(tf.strings.substr(encoded, 0, 8), _PNG)
  image = tf.cond(is_png, lambda: _png(encoded), lambda: _other(encoded))
  return tf.ensure_shape(image, (None, None, 3))


def _other(encoded):
  is_gif = tf.equal(tf.strings.substr(encoded, 0, 4), _GIF)
  return tf.cond(is_gif, lambda: _gif(encoded), lambda: decode(encoded))


def _gif(encoded):
  frames = tf.io.decode_gif(encoded)  # (frames, h, w, 3)
  still = tf.debugging.Assert(
    tf.equal(tf.shape(frames)[0], 1),
    ["Expected a still picture. Received: a GIF with several frames"],
  )
  with tf.control_dependencies([still]):
    return tf.identity(frames[0])


def _png(encoded):
  """Decodes a PNG as the builder does: transparency on white, 16 bits to 8."""
  depth, kind = tf.unstack(_bytes_at(encoded, _PNG_BIT_DEPTH, 2))
  deep = tf.equal(depth, 16)

  def decode(channels):
    return tf.cond(
      deep,
      lambda: _sixteen_to_eight(tf.io.decode_png(encoded, channels, tf.uint16)),
      lambda: tf.io.decode_png(encoded, channels),
    )

  def laid():
    image = decode(4)  # (h, w, 4)
    return _on_white(image[..., :3], image[..., 3:])

  clear = tf.equal(kind & _PNG_ALPHA, _PNG_ALPHA)
  clear |= _find_in_png(encoded, b"tRNS") > 0
  return tf.cond(clear, laid, lambda: decode(3))


def _on_white(colour, alpha):
  """Lays colours on white; rounds as Pillow's alpha_composite does."""
  colour, alpha = tf.cast(colour, tf.int32), tf.cast(alpha, tf.int32)
  laid = 2 * (colour * alpha + 255 * (255 - alpha)) + 255
  return tf.cast(laid // 510, tf.uint8)


def _sixteen_to_eight(image):
  return tf.cast((2 * tf.cast(image, tf.int32) + 257) // 514, tf.uint8)


def _shrink(image, max_side):
  height, width = tf.unstack(tf.shape(image)[:2])
  longest = tf.maximum(height, width)

  def shrunk():
    sides = tf.cast(tf.stack([height, width]), tf.float64)
    scale = max_side / tf.cast(longest, tf.float64)
    size = tf.maximum(tf.cast(tf.round(sides * scale), tf.int32), 1)
    small = tf.image.resize(image, size, "lanczos3", antialias=True)
    return tf.saturate_cast(tf.round(small), tf.uint8)

  return tf.cond(longest > max_side, shrunk, lambda: image)


def _exif_of_jpeg(encoded):
  """Returns where the TIFF header of a JPEG's EXIF begins, 0 without one."""

  def is_exif(head):
    marked = tf.reduce_all(tf.equal(head[:2], (0xFF, 0xE1)))
    named = tf.reduce_all(tf.equal(head[4:10], list(b"Exif\0\0")))
    return marked & named

  def next_segment(head):
    # Of other segments than those in the head of a JPEG none is looked for.
    in_head = tf.equal(head[0], 0xFF) & tf.not_equal(head[1], 0xDA)
    length = head[2] * 256 + head[3]
    return tf.where(in_head & (length >= 2), length + 2, 0)

  return _find(encoded, 2, 10, is_exif, next_segment, 10)


def _find_in_png(encoded, name):
  """Returns where a chunk's body begins before the pixels, 0 without one."""

  def is_it(head):
    return tf.reduce_all(tf.equal(head[4:8], list(name)))

  def next_chunk(head):
    ends = tf.reduce_all(tf.equal(head[4:8], list(b"IDAT")))
    # A length of 2**31 or more is not allowed: it would wrap round.
    return tf.where(ends | (head[0] > 127), 0, _number(head[:4], True) + 12)

  return _find(encoded, len(_PNG), 8, is_it, next_chunk, 8)


def _find(encoded, start, head_size, is_it, step, body):
  """Walks a file's segments; returns where the body of one is, 0 if nowhere.

  Args:
    encoded: string ().
    start: where the first segment begins.
    head_size: bytes of a segment that `is_it` and `step` look at.
    is_it: head int32 (head_size,) to bool ().
    step: head to the segment's whole length, 0 to stop.
    body: where the body begins in the segment.
  """
  length = tf.strings.length(encoded)

  def look(position, _):
    head = _bytes_at(encoded, position, head_size)
    found = tf.where(is_it(head), position + body, 0)
    forward = step(head)
    inside = (forward > 0) & (forward < length - position)
    return tf.where(inside, position + forward, length), found

  _, found = tf.while_loop(
    lambda position, found: (position < length) & tf.equal(found, 0),
    look,
    (tf.constant(start), tf.constant(0)),
    maximum_iterations=_MOST_SEGMENTS,
  )
  return found


def _orientation_at(encoded, start):
  """Returns the orientation that a TIFF header at `start` leads to, else 1."""
  head = _bytes_at(encoded, start, 8)
  big = tf.equal(head[0], ord("M"))
  length = tf.strings.length(encoded)
  offset = _number(head[4:], big)
  offset = tf.where((offset >= 0) & (offset < length), offset, length)
  table = tf.minimum(start + offset, length)
  count = _number(_bytes_at(encoded, table, 2), big)
  count = tf.minimum(count, (length - table - 2) // 12)
  count = tf.clip_by_value(count, 0, _MOST_TAGS)
  first = tf.minimum(table + 2, length)
  tags = tf.io.decode_raw(
    tf.strings.substr(encoded, first, 12 * count), tf.uint8
  )
  tags = tf.cast(tf.reshape(tags, (-1, 12)), tf.int32)  # (count, 12)
  names = _number(tags[:, :2], big)
  values = _number(tags[:, 8:10], big)
  values = tf.boolean_mask(values, tf.equal(names, _ORIENTATION))
  value = tf.concat([values, [1]], 0)[0]
  return tf.where((value >= 1) & (value <= 8), value, 1)


def _number(octets, big):
  """Returns unsigned numbers: int32 (..., bytes) to (...)."""
  octets = tf.cond(
    tf.convert_to_tensor(big), lambda: octets, lambda: octets[..., ::-1]
  )
  weights = [256**place for place in reversed(range(octets.shape[-1]))]
  return tf.reduce_sum(octets * weights, -1)


def _bytes_at(encoded, position, count):
  """Returns `count` bytes of a string as int32 (count,), zeros past its end."""
  position = tf.minimum(position, tf.strings.length(encoded))
  piece = tf.strings.substr(encoded, position, count)
  padded = tf.strings.join([piece, tf.constant(b"\0" * count)])
  octets = tf.ensure_shape(tf.io.decode_raw(padded, tf.uint8)[:count], (count,))
  return tf.cast(octets, tf.int32)
