"""A bag source of plain images whose colour says which image it is."""

import numpy as np
import tensorflow as tf

from data import bag_source

# Colours are spaced so that interpolation and the rounding of views keep them.
STEP = 8


def colour(bag, image):
  """The (r, g, b) of an image: which bag, which image of it, always 200."""
  return bag * STEP, image * STEP, 200


def identity(view):
  """Returns which (bag, image) a uint8 (..., h, w, 3) view was cut from."""
  middle = view[..., view.shape[-3] // 2, view.shape[-2] // 2, :]
  red, green = middle[..., 0].astype(int), middle[..., 1].astype(int)
  return np.stack([(red + STEP // 2) // STEP, (green + STEP // 2) // STEP], -1)


def toy_bags(sizes, *, size=16, task="multi_class"):
  """Returns a `BagSource` with bags of the given sizes; labels are bag % 3."""
  bags = []
  for bag, count in enumerate(sizes):
    images = [
      tf.io.encode_png(
        np.broadcast_to(np.uint8(colour(bag, k)), (size, size, 3))
      ).numpy()
      for k in range(count)
    ]
    bags.append((bag, images))

  def read(seed):
    del seed
    stream = tf.data.Dataset.from_tensor_slices(
      (
        tf.constant([b for b, _ in bags], tf.int64),
        tf.ragged.constant([images for _, images in bags]),
      )
    )
    return stream.map(
      lambda bag, images: {
        "patient_key": bag,
        "image": images,
        "label": tf.fill(tf.shape(images), bag % 3),
      }
    )

  return bag_source.BagSource(
    name="toy/train",
    task=task,
    class_names=("a", "b", "c") if task != "unlabelled" else (),
    num_bags=len(sizes),
    num_images=sum(sizes),
    digest="0",
    read=read,
  )
