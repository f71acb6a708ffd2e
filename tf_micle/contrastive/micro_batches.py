"""Micro-batches: a large batch's exact gradient in a small one's memory.

A contrastive loss couples all images of a batch, so gradients of parts of it do
not add up as those of a classifier do. But between images and loss are the
embeddings, which are small (Gao et al. 2021, arXiv 2101.06983, section 3.2):

1. Embed all micro-batches, one after the other; keep the embeddings alone.
2. Take the gradient of the loss over the whole batch to the embeddings.
3. Embed each micro-batch again, pull its part of that gradient back to the
   weights, and add up.

Only one micro-batch's activations are alive at a time.
"""

from __future__ import annotations

import tensorflow as tf


def embed_all(embed, count, like):
  """Embeds all micro-batches, one at a time, keeping no activations.

  Args:
    embed: from the number of a micro-batch, int32 (), to a tuple of tensors;
      the same whenever it is called, but for variables that it updates.
    count: of micro-batches.
    like: tuple of `tf.TensorSpec`, what `embed` returns.

  Returns:
    A tuple of tensors, those of all micro-batches stacked: (count, ...).
  """
  return tf.map_fn(
    embed, tf.range(count), fn_output_signature=like, parallel_iterations=1
  )


def pull_back(embed, gradients, variables, updated):
  """Returns the gradients to `variables`, summed over micro-batches.

  Args:
    embed: as in `embed_all`; its first tensor depends on `variables`.
    gradients: (count, ...), the loss's to the first tensor of each micro-batch.
    variables: list of what is trained.
    updated: variables that `embed` updates (BatchNorm's moving statistics).
      They have been updated once and are left as they are.

  Returns:
    A list of tensors in the shapes of `variables`.
  """
  before = [tf.identity(variable) for variable in updated]

  def add(number, *sums):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(variables)
      embeddings, *_ = embed(number)
    own = tape.gradient(
      embeddings,
      variables,
      output_gradients=gradients[number],
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return (number + 1, *(total + part for total, part in zip(sums, own)))

  count = tf.shape(gradients)[0]
  _, *sums = tf.while_loop(
    lambda number, *_: number < count,
    add,
    (0, *(tf.zeros(v.shape, v.dtype) for v in variables)),
    parallel_iterations=1,
  )
  with tf.control_dependencies(sums):
    for variable, value in zip(updated, before):
      variable.assign(value)
  return sums
