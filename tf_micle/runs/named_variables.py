"""Names of a run's variables: a checkpoint's keys, and plain ones."""

from __future__ import annotations

import collections
import dataclasses

import tensorflow as tf

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclasses.dataclass(frozen=True)
class NamedVariable:
  """A variable of a part of a run.

  Attributes:
    key: what a checkpoint of ours has it under: the attributes that lead to it.
    name: the part, the names of the layers that lead to it, and its own:
      'encoder/block_group1_0/conv1/conv2d/kernel'. It stays when a layer
      without variables is put in between, and published weights have it.
    variable: a `tf.Variable`.
  """

  key: str
  name: str
  variable: tf.Variable

  @property
  def part(self):
    """The part's name."""
    return self.key.split("/")[0]


def of(parts):
  """Returns the `NamedVariable`s of parts of a run, in the order of their keys.

  A key is the shortest path of attribute names, found breadth first, as
  TensorFlow writes it.

  Args:
    parts: dict of name to trackable (a built model or layer).
  """
  root = tf.train.Checkpoint(**parts)
  view = tf.train.TrackableView(root)
  found, seen = [], {id(root)}
  queue = collections.deque([(root, "", ())])
  while queue:
    parent, path, names = queue.popleft()
    for attribute, child in view.children(parent).items():
      if id(child) in seen:
        continue
      seen.add(id(child))
      # TensorFlow escapes what would look like its separators.
      own = attribute.replace(".", "..").replace("/", ".S")
      child_path = f"{path}/{own}" if path else own
      child_names = (*names, *_plain(child, attribute, is_part=not path))
      if isinstance(child, tf.Variable):
        found.append(
          NamedVariable(child_path + VALUE, "/".join(child_names), child)
        )
      queue.append((child, child_path, child_names))
  return [v for v in found if v.key != "save_counter" + VALUE]


def _plain(child, attribute, *, is_part):
  """Returns what a child adds to a plain name: () for lists of layers."""
  if is_part or isinstance(child, tf.Variable):
    return (attribute,)
  return (child.name,) if isinstance(child, tf.keras.layers.Layer) else ()
