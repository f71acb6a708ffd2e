"""Pretraining step: uint8 views to one update of the weights."""

from __future__ import annotations

import functools

import tensorflow as tf

from tf_micle.classifier import supervised
from tf_micle.contrastive import micro_batches, nt_xent
from tf_micle.optimization import optimizers
from tf_micle.views import photometry, view_batch

_TRAIN_VALUES = (
  "loss",
  "contrastive_loss",
  "contrastive_accuracy",
  "contrastive_entropy",
  "embedding_std",
)
_PROBE_VALUES = ("probe_loss", "probe_accuracy")


class ContrastiveModel(tf.keras.Model):
  """An encoder and projection head under NT-Xent, with an online linear probe.

  Whether pairs are two images of a bag (MICLe) or two views of an image
  (SimCLR) is settled where they are drawn; the step is the same.

  Batches are dicts: `views` uint8 (b, v, h, w, 3), v >= 2 in training and 1 in
  evaluation; where patients are masked, `patient_key` int64 (b,); and, where
  the probe is to learn, `label` int64 (b, v) or `labels` float32 (b, v,
  classes); see `supervised.masked_loss` for unknown ones.
  """

  def __init__(
    self,
    encoder,
    projection_head,
    *,
    photometry_options,
    temperature,
    normalize=True,
    loss_reduction="pairs",
    mask_same_patient=False,
    l2=0.0,
    probe=None,
    micro_batch_size=None,
    seed=0,
  ):
    """Makes the model.

    Args:
      encoder: images float32 (n, h, w, 3) in [0, 1] to a dict with
        `final_avg_pool` (n, f).
      projection_head: (n, f) to (n, d).
      photometry_options: `photometry_options.PhotometryOptions`.
      temperature: of NT-Xent, > 0.
      normalize: whether NT-Xent compares by cosine.
      loss_reduction: of NT-Xent, 'pairs' or 'anchors'.
      mask_same_patient: whether views of an anchor's patient are left out of
        its negatives.
      l2: coefficient of `optimizers.l2_penalty` in the loss.
      probe: (n, f) to logits (n, classes), or None.
      micro_batch_size: pairs whose activations are alive at a time, a divisor
        of a replica's batch: see `micro_batches`. BatchNorm then takes the
        statistics of a micro-batch. None: the whole batch at once.
      seed: with the step's number, it fixes the photometry.
    """
    super().__init__()
    self.encoder = encoder
    self.projection_head = projection_head
    self.probe = probe
    self._photometry_options = photometry_options
    self._loss = functools.partial(
      nt_xent.nt_xent,
      temperature=temperature,
      normalize=normalize,
      reduction=loss_reduction,
    )
    self._mask_same_patient = mask_same_patient
    self._l2 = l2
    self._micro_batch_size = micro_batch_size
    self._seed = seed
    # Each replica returns what is already the mean over all of them.
    self.distribute_reduction_method = "first"
    names = _TRAIN_VALUES + (_PROBE_VALUES if probe else ())
    self._means = {name: tf.keras.metrics.Mean(name) for name in names}

  @property
  def metrics(self):
    """The running means, which Keras resets at the start of an epoch."""
    return list(self._means.values())

  def compile(self, optimizer, probe_optimizer=None, **kwargs):
    """Takes the optimiser of encoder and head, and the probe's own."""
    super().compile(optimizer=optimizer, **kwargs)
    self.probe_optimizer = probe_optimizer

  def see(self, views, step):
    """Returns views as the encoder sees them in training at `step`.

    Args:
      views: uint8 (b, v, h, w, 3), this replica's rows of the global batch.
      step: int64 (), counted from 0.

    Returns:
      float32 (b, v, h, w, 3) in [0, 1].
    """
    return view_batch.augment(views, self._seed, step, self._photometry_options)

  # Nothing in the steps needs AutoGraph; converting the network takes seconds.
  @tf.autograph.experimental.do_not_convert
  def train_step(self, batch):
    """Updates once; returns means since the last reset, and the step's rate."""
    trained = (
      self.encoder.trainable_variables
      + self.projection_head.trainable_variables
    )
    step = self._in_one if self._micro_batch_size is None else self._in_parts
    gradients, of_probe, values = step(batch, trained)
    gradients = optimizers.unscaled(self.optimizer, gradients)
    self.optimizer.apply_gradients(zip(gradients, trained))
    # Keras sets it when it applies gradients: here it is the rate just used.
    learning_rate = tf.convert_to_tensor(self.optimizer.learning_rate)
    if self.probe:
      of_probe = optimizers.unscaled(self.optimizer, of_probe)
      self.probe_optimizer.apply_gradients(
        zip(of_probe, self.probe.trainable_variables)
      )
    means = {name: self._mean(name, value) for name, value in values.items()}
    return {**means, "learning_rate": learning_rate}

  def _in_one(self, batch, trained):
    """Returns gradients to `trained` and the probe, scaled, and the values."""
    seen = self.see(batch["views"], self.optimizer.iterations)
    probed = self._probed()
    with tf.GradientTape() as tape:
      z, h = self._embed(view_batch.merge(seen))
      share, values = self._share(z, h, batch, trained)
    gradients = tape.gradient(share, trained + probed)
    return gradients[: len(trained)], gradients[len(trained) :], values

  def _in_parts(self, batch, trained):
    """As `_in_one`, with the activations of one micro-batch at a time."""
    views, size = batch["views"], self._micro_batch_size
    drawn = view_batch.draw(
      views, self._seed, self.optimizer.iterations, self._photometry_options
    )

    def embed(number):
      seen = view_batch.see_part(views, drawn, number * size, size)
      return self._embed(seen)

    rows = size * views.shape[1]
    like = tuple(
      tf.TensorSpec((rows, width), tf.float32) for width in self._widths()
    )
    # Their statistics move once, though all is embedded twice.
    moving = (
      self.encoder.non_trainable_variables
      + self.projection_head.non_trainable_variables
    )
    pairs = views.shape[0] or tf.shape(views)[0]
    stacked, h = micro_batches.embed_all(embed, pairs // size, like)
    h = view_batch.merge(h)
    probed = self._probed()
    with tf.GradientTape() as tape:
      tape.watch(stacked)
      share, values = self._share(view_batch.merge(stacked), h, batch, trained)
    of_z, of_probe, direct = tape.gradient(
      share,
      [stacked, probed, trained],
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    pulled = micro_batches.pull_back(embed, of_z, trained, moving)
    return [a + b for a, b in zip(pulled, direct)], of_probe, values

  def _embed(self, images):
    """float32 (n, h, w, 3) -> z (n, d) and h (n, f), both float32."""
    h = self.encoder(images, training=True)["final_avg_pool"]
    z, _ = self.projection_head(h, training=True)
    return z, h

  def _widths(self):
    """The widths d and f of z and h."""
    f = self.encoder.output["final_avg_pool"].shape[-1]
    return self.projection_head.width(f), f

  def _share(self, z, h, batch, trained):
    """Returns this replica's part of the loss, scaled, and what to log."""
    contrastive, values = self._loss(
      view_batch.split(z, batch["views"]),
      patients=batch["patient_key"] if self._mask_same_patient else None,
    )
    loss = contrastive
    if self._l2:
      loss += self._l2 * optimizers.l2_penalty(trained)
    if self.probe:
      probe_loss = self._probe_loss(tf.stop_gradient(h), batch)
      loss += probe_loss
      values["probe_loss"] = probe_loss
    values.update(loss=loss, contrastive_loss=contrastive)
    # Optimisers sum gradients over replicas.
    share = loss / self.distribute_strategy.num_replicas_in_sync
    return optimizers.scaled(self.optimizer, share), values

  def _probed(self):
    return self.probe.trainable_variables if self.probe else []

  @tf.autograph.experimental.do_not_convert
  def test_step(self, batch):
    """Returns the probe's accuracy so far on known labels of plain views."""
    images = view_batch.merge(batch["views"])
    logits = view_batch.map_filled(self._probe_logits, images)
    labels = _labels(batch)
    _, known = supervised.masked_loss(logits, labels)
    right = tf.cast(supervised.correct(logits, labels), tf.float32)
    return {"probe_accuracy": self._mean("probe_accuracy", right, known)}

  @tf.autograph.experimental.do_not_convert
  def predict_step(self, batch):
    """Returns features h and projections z of plain views, (n, f + d)."""
    images = view_batch.merge(batch["views"])
    return view_batch.map_filled(self._embeddings, images)

  def _embeddings(self, images):
    """uint8 (n, h, w, 3) -> float32 (n, f + d): h, then z."""
    images = photometry.to_float(images)
    h = self.encoder(images, training=False)["final_avg_pool"]
    z, _ = self.projection_head(h, training=False)
    return tf.concat([h, z], axis=1)

  def _probe_logits(self, images):
    """uint8 (n, h, w, 3) -> float32 (n, classes)."""
    images = photometry.to_float(images)
    return self.probe(self.encoder(images, training=False)["final_avg_pool"])

  def _probe_loss(self, features, batch):
    """The mean over the known labels of the global batch, replica's share."""
    losses, known = supervised.masked_loss(self.probe(features), _labels(batch))
    return supervised.mean_over_known(losses, known)

  def _mean(self, name, value, weight=None):
    self._means[name].update_state(value, weight)
    return self._means[name].result()


def _labels(batch):
  """(b, v) or (b, v, classes) -> (b * v,) or (b * v, classes)."""
  return view_batch.merge(view_batch.labels(batch))
