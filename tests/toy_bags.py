"""A bag source of plain images whose colour says which image it is."""

import numpy as np
import tensorflow as tf

from data.sources import bag_source

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


def toy_bags(
  sizes,
  *,
  size=16,
  task="multi_class",
  labels=None,
  patients=None,
  shards=1,
):
  """Returns a `BagSource` with bags of the given sizes.

  Args:
    sizes: images of each bag.
    size: pixels a side.
    task: of the labels.
    labels: the labels of each bag's images; bag % 3 for all by default.
    patients: of each bag; by default each bag is a patient's.
    shards: files; bag k is in file k % shards.
  """
  labels = labels or [[bag % 3] * count for bag, count in enumerate(sizes)]
  patients = patients or [f"p{bag}" for bag in range(len(sizes))]
  key = "labels" if task == "multi_label" else "label"
  dtype = tf.float32 if task == "multi_label" else tf.int64
  bags = []
  for bag, count in enumerate(sizes):
    images = [
      tf.io.encode_png(
        np.broadcast_to(np.uint8(colour(bag, k)), (size, size, 3))
      ).numpy()
      for k in range(count)
    ]
    bags.append((bag, images))

  def read(seed, which=None):
    del seed
    numbers = list(range(shards) if which is None else which)
    stream = tf.data.Dataset.from_tensor_slices(
      (
        tf.constant([b for b, _ in bags], tf.int64),
        tf.ragged.constant([images for _, images in bags]),
        tf.ragged.constant(labels, dtype, ragged_rank=1),
        tf.constant(patients),
        tf.constant(np.cumsum([0, *sizes[:-1]]), tf.int64),
      )
    )
    stream = stream.filter(
      lambda bag, *_: tf.reduce_any(
        bag % shards == tf.constant(numbers, tf.int64)
      )
    )
    return stream.map(
      lambda bag, images, labels, patient, first: {
        "patient_key": bag,
        "patient_id": patient,
        "bag_id": tf.strings.format("b{}", bag),
        "image": images,
        "shard": bag % shards,
        "row": first + tf.range(tf.size(images, tf.int64)),
        "metadata/site": tf.fill(
          tf.shape(images), tf.strings.format("s{}", bag % 2)
        ),
        key: labels,
      }
    )

  return bag_source.BagSource(
    name="toy/train",
    task=task,
    class_names=("a", "b", "c") if task != "unlabelled" else (),
    metadata_columns=("site",),
    num_bags=len(sizes),
    num_images=sum(sizes),
    shard_bags=tuple(len(sizes[k::shards]) for k in range(shards)),
    shard_images=tuple(sum(sizes[k::shards]) for k in range(shards)),
    digest="0",
    key_id="k",
    patients=lambda: tuple(sorted(set(patients))),
    patients_known=True,
    read=read,
  )
