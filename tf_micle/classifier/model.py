"""Fine-tuning step and inference of a classifier."""

from __future__ import annotations

import tensorflow as tf

from tf_micle.classifier import supervised
from tf_micle.optimization import optimizers
from tf_micle.options import TASKS
from tf_micle.views import photometry, view_batch


class Classifier(tf.keras.Model):
  """An encoder under a linear head, for images or for bags of them.

  Batches are dicts: `views` uint8 (b, v, h, w, 3), and `label` int64 (b, v) or
  `labels` float32 (b, v, classes); see `supervised.masked_loss` for unknown
  ones. Without pooling each view has a prediction of its own. With it the v
  views are images of one bag, whose label is that of the first.

  `model.predict` takes such batches, labels or not, and returns their images'
  `features`, float32 (b * v, f): so evaluation runs under any strategy. Pooling
  and head, which cost little, come after (`probabilities`,
  `bag_probabilities`).
  """

  def __init__(
    self,
    encoder,
    head,
    *,
    task,
    photometry_options,
    projection_head=None,
    layer=0,
    pooling=None,
    uncertain="ignore",
    focal_gamma=0.0,
    seed=0,
  ):
    """Makes the model.

    Args:
      encoder: images float32 (n, h, w, 3) in [0, 1] to a dict with
        `final_avg_pool` (n, f).
      head: features (n, f) to logits (n, classes).
      task: 'multi_class' (softmax) or 'multi_label' (sigmoid).
      photometry_options: `photometry_options.PhotometryOptions`.
      projection_head: `heads.ProjectionHead`, or None where `layer` is 0.
      layer: of the projection head whose output is the features (SimCLR v2,
        arXiv 2006.10029, section 2); 0 is the encoder's output.
      pooling: `pooling.BagPooling` for bags; None for images.
      uncertain: as `policy` in `supervised.resolve_uncertain`.
      focal_gamma: of `supervised.masked_loss`.
      seed: with the step's number, it fixes the photometry.

    Raises:
      ValueError: for another task.
    """
    super().__init__()
    if task not in TASKS:
      raise ValueError(f"Expected task in {TASKS}. Received: task={task!r}")
    self.encoder = encoder
    self.projection_head = projection_head
    self.pooling = pooling
    self.head = head
    self._task = task
    self._layer = layer
    self._photometry_options = photometry_options
    self._uncertain = uncertain
    self._focal_gamma = focal_gamma
    self._seed = seed
    self._calibrated = lambda logits: logits
    # Each replica returns what is already the mean over all of them.
    self.distribute_reduction_method = "first"
    names = ("loss", "supervised_loss", "accuracy")
    self._means = {name: tf.keras.metrics.Mean(name) for name in names}

  @property
  def metrics(self):
    """The running means, which Keras resets at the start of an epoch."""
    return list(self._means.values())

  @property
  def head_variables(self):
    """What a linear probe trains: the head's variables and bag pooling's."""
    parts = [self.pooling, self.head] if self.pooling else [self.head]
    return [v for part in parts for v in part.trainable_variables]

  @property
  def encoder_variables(self):
    """What else is trained: the encoder's and the projection head's."""
    others = {v.ref() for v in self.head_variables}
    return [v for v in self.trainable_variables if v.ref() not in others]

  def compile(
    self,
    optimizer,
    encoder_optimizer=None,
    *,
    linear_probe_steps=0,
    l2=0.0,
    class_weights=None,
    **kwargs,
  ):
    """Takes what only training needs.

    Args:
      optimizer: built for `trainable_variables`, or for `head_variables` only.
      encoder_optimizer: in the latter case, built for `encoder_variables`.
      linear_probe_steps: the first steps, which train `head_variables` only, on
        features as at inference: LP-FT (Kumar et al. 2022, arXiv 2202.10054).
        Above 0 there are two optimisers.
      l2: coefficient of `optimizers.l2_penalty` of what a step trains.
      class_weights: of `supervised.masked_loss`.
      **kwargs: what Keras's `compile` takes.
    """
    super().compile(optimizer=optimizer, **kwargs)
    self.encoder_optimizer = encoder_optimizer
    self._l2 = l2
    self._class_weights = class_weights
    self._linear_probe_steps = linear_probe_steps
    self._probes = linear_probe_steps > 0

  def make_train_function(self, force=False):
    """Returns Keras's function of a step: one of two, picked by the count.

    Each phase is traced once. A `tf.cond` in one graph could not do it: an
    optimiser's sum over replicas may not stand in one.
    """
    cached = self.train_function is not None and not force
    if cached or not self._linear_probe_steps:
      return super().make_train_function(force)
    tune = super().make_train_function(force=True)
    probe = super().make_train_function(force=True)

    def step(iterator):
      steps = self.optimizer.iterations.numpy()
      # Tracing, at a phase's first step, asks which one it is.
      self._probes = bool(steps < self._linear_probe_steps)
      return probe(iterator) if self._probes else tune(iterator)

    self.train_function = step
    return step

  def see(self, views, step):
    """Returns views as in training at `step`; see `view_batch.augment`."""
    return view_batch.augment(views, self._seed, step, self._photometry_options)

  # Nothing in the steps needs AutoGraph; converting the network takes seconds.
  @tf.autograph.experimental.do_not_convert
  def train_step(self, batch):
    """Updates once; returns means since the last reset, and the step's rate."""
    seen = self.see(batch["views"], self.optimizer.iterations)
    labels = supervised.resolve_uncertain(self._labels(batch), self._uncertain)
    groups = self._groups()
    trained = [v for _, variables in groups for v in variables]
    # The encoder's where it is trained: float16 is on its way only.
    scaler = groups[-1][0]
    replicas = self.distribute_strategy.num_replicas_in_sync
    # Watching what is trained only, frozen layers keep no activations.
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(trained)
      logits = self._logits(seen, training=not self._probes)
      losses, known = supervised.masked_loss(
        logits,
        labels,
        focal_gamma=self._focal_gamma,
        class_weights=self._class_weights,
      )
      supervised_loss = supervised.mean_over_known(losses, known)
      loss = supervised_loss
      if self._l2:
        loss += self._l2 * optimizers.l2_penalty(trained)
      # Optimisers sum gradients over replicas.
      share = optimizers.scaled(scaler, loss / replicas)
    gradients = tape.gradient(share, [variables for _, variables in groups])
    for (optimizer, variables), own in zip(groups, gradients):
      own = optimizers.unscaled(scaler, own)
      optimizer.apply_gradients(zip(own, variables))
    right = tf.cast(supervised.correct(logits, labels), tf.float32)
    return {
      "loss": self._mean("loss", loss),
      "supervised_loss": self._mean("supervised_loss", supervised_loss),
      "accuracy": self._mean("accuracy", right, known),
      # Keras sets it when it applies gradients: here it is the rate just used.
      "learning_rate": tf.convert_to_tensor(self.optimizer.learning_rate),
    }

  @tf.autograph.experimental.do_not_convert
  def predict_step(self, batch):
    """Returns the features of a batch's views, float32 (b * v, f)."""
    # `predict_on_batch` hands it over in a tuple of one.
    batch, _, _ = tf.keras.utils.unpack_x_y_sample_weight(batch)
    images = view_batch.merge(batch["views"])
    return view_batch.map_filled(self.features, images)

  def features(self, images):
    """Returns what enters pooling or head, without any augmentation.

    Args:
      images: uint8 (n, h, w, 3).

    Returns:
      float32 (n, f).
    """
    return self.features_of(photometry.to_float(images), training=False)

  def calibrate(self, scale, shift):
    """Makes probabilities those of logits * scale + shift from now on.

    Args:
      scale: C floats.
      shift: C floats.
    """
    self._calibrated = lambda logits: logits * scale + shift

  def probabilities(self, features):
    """Returns each class's or finding's probability.

    Args:
      features: float32 (n, f), of images.

    Returns:
      float32 (n, classes); for multi_class each row's sum is 1.
    """
    logits = self.logits(features)
    if self._task == "multi_class":
      return tf.nn.softmax(logits)
    return tf.sigmoid(logits)

  def logits(self, features):
    """Returns what `probabilities` are of, float32 (n, classes)."""
    return self._calibrated(self.head(features))

  def bag_probabilities(self, features, mask=None):
    """Returns as `probabilities`, of bags: pooled, then classified.

    Args:
      features: float32 (b, m, f), of each bag's images.
      mask: bool (b, m), True for the bag's images; None is True for all.

    Returns:
      float32 (b, classes).
    """
    return self.probabilities(self.pooling(features, mask))

  def features_of(self, images, training=None):
    """Returns features of float images, as `features` of uint8 ones.

    Args:
      images: float32 (n, h, w, 3) in [0, 1].
      training: as Keras's layers take it.

    Returns:
      float32 (n, f).
    """
    return self.end_points(images, training=training)["default"]

  def end_points(self, images, training=None):
    """Returns the encoder's end points, and as 'default' `features_of`.

    Args:
      images: float32 (n, h, w, 3) in [0, 1].
      training: as Keras's layers take it.
    """
    points = self.encoder(images, training=training)
    features = self.projected(points["final_avg_pool"], training=training)
    return {**points, "default": features}

  def projected(self, pooled, training=None):
    """Returns the features, (n, f), of the encoder's output, (n, f')."""
    if not self._layer:
      return pooled
    _, hiddens = self.projection_head(pooled, training=training)
    return hiddens[self._layer]

  def _groups(self):
    """Pairs of an optimiser and what it updates, in this phase."""
    if not self.encoder_optimizer:
      return [(self.optimizer, self.trainable_variables)]
    groups = [(self.optimizer, self.head_variables)]
    if not self._probes:
      groups.append((self.encoder_optimizer, self.encoder_variables))
    return groups

  def _logits(self, seen, training):
    """float32 (b, v, h, w, 3) -> (b, classes) of bags, (b * v, classes)."""
    features = self.features_of(view_batch.merge(seen), training=training)
    if self.pooling:
      features = self.pooling(view_batch.split(features, seen))  # (b, f)
    return self.head(features)

  def _labels(self, batch):
    """Labels as `_logits` has rows."""
    labels = view_batch.labels(batch)
    return labels[:, 0] if self.pooling else view_batch.merge(labels)

  def _mean(self, name, value, weight=None):
    self._means[name].update_state(value, weight)
    return self._means[name].result()
