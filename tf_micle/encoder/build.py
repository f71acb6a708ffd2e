"""Encoder and projection head, built as a run's options say."""

from __future__ import annotations

import tensorflow as tf

from tf_micle.encoder import heads, resnet
from tf_micle.system import precision

# SimCLR's encoder has a 3 x 3 stem without pooling up to this image size.
SMALL_IMAGE_SIZE = 32


def seed_initialisers(seed):
  """Fixes what Keras's initialisers draw, and leaves no global TF seed.

  That would be part of what every later draw with a seed of its own gives.
  """
  tf.keras.utils.set_random_seed(seed)
  tf.random.set_seed(None)


def build_encoder(options, *, trains=False, local_batch_norm=False):
  """Returns a new encoder, under the current strategy; see `resnet.resnet`.

  Args:
    options: `options.TrainingOptions`.
    trains: whether it computes in `options.precision` and as `options.remat`
      says. What evaluates computes in float32, the same on every device.
    local_batch_norm: whether BatchNorm's statistics stay on a replica.
  """
  return resnet.resnet(
    depth=options.resnet_depth,
    width_multiplier=options.width_multiplier,
    sk_ratio=options.sk_ratio,
    variant=options.resnet_variant,
    small_stem=options.image_size <= SMALL_IMAGE_SIZE,
    batch_norm_decay=options.batch_norm_decay,
    sync_batch_norm=_several_replicas() and not local_batch_norm,
    dtype=precision.policy(options.precision) if trains else None,
    remat=options.remat and trains,
  )


def feature_width(encoder):
  """Returns f of the encoder's 'final_avg_pool' (n, f)."""
  return encoder.output["final_avg_pool"].shape[-1]


def build_projection_head(options, width, *, local_batch_norm=False):
  """Returns a new head for features (n, width); see `heads.ProjectionHead`.

  Args:
    options: `options.TrainingOptions`.
    width: of the features.
    local_batch_norm: as in `build_encoder`.
  """
  return heads.projection_head(
    width,
    mode=options.proj_head_mode,
    out_dim=options.proj_out_dim,
    num_layers=options.num_proj_layers,
    batch_norm_decay=options.batch_norm_decay,
    sync_batch_norm=_several_replicas() and not local_batch_norm,
  )


def _several_replicas():
  return tf.distribute.get_strategy().num_replicas_in_sync > 1
