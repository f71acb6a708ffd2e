"""The object graph in a TensorFlow checkpoint, walked by attribute names."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"


class Node:
  """An object that was saved: its attributes, and its value if a variable.

  Where a checkpoint keeps a variable's value depends on who saved it and how;
  the attributes that lead to the variable do not.
  """

  def __init__(self, nodes, index=0):
    self._nodes = nodes
    self._own = nodes[index]

  def child(self, *names):
    """Returns the node that attributes lead to, one by one, or None."""
    node = self
    for name in names:
      found = [c for c in node._own.children if c.local_name == name]
      if not found:
        return None
      node = Node(self._nodes, found[0].node_id)
    return node

  def items(self):
    """Returns the nodes of a list, in order."""
    places = {
      int(child.local_name): child.node_id
      for child in self._own.children
      if child.local_name.isdigit()
    }
    return [Node(self._nodes, places[place]) for place in sorted(places)]

  @property
  def key(self):
    """The checkpoint's key of a variable's value; None for other objects."""
    for attribute in self._own.attributes:
      if attribute.name == _VALUE:
        return attribute.checkpoint_key
    return None

  def variables(self):
    """Returns the keys of the variables among the attributes, by name."""
    found = {}
    for child in self._own.children:
      key = Node(self._nodes, child.node_id).key
      if key:
        found[child.local_name] = key
    return found


def root(reader):
  """Returns the root of a checkpoint's graph; None where it has no graph.

  Args:
    reader: of `tf.train.load_checkpoint`.
  """
  if not reader.has_tensor(GRAPH):
    return None  # TensorFlow 1 saved it, under the variables' own names.
  graph = trackable_object_graph_pb2.TrackableObjectGraph()
  graph.ParseFromString(reader.get_tensor(GRAPH))
  return Node(graph.nodes)


def full_names(reader):
  """Returns the names that variables had in their network, or their keys."""
  if not reader.has_tensor(GRAPH):
    return list(reader.get_variable_to_shape_map())
  graph = trackable_object_graph_pb2.TrackableObjectGraph()
  graph.ParseFromString(reader.get_tensor(GRAPH))
  return [a.full_name for node in graph.nodes for a in node.attributes]


def prefix_of_saved_model(path):
  """Returns the prefix of the variables' checkpoint in a SavedModel."""
  return tf.io.gfile.join(str(path), "variables", "variables")
