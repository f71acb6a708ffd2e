"""Calibration: probabilities made to mean what they say, and how well they do.

`fit` is for validation: one temperature for classes (Guo et al. 2017, section
4.2), Platt's slope and intercept for each finding (Platt 1999). `measured` says
how far stated probabilities are from what is observed: calibration intercept
and slope (Cox 1958; Van Calster et al. 2019, BMC Med 17:230).
"""

from __future__ import annotations

import numpy as np
from scipy import optimize

from tf_micle.evaluation import bootstrap, intervals, metrics
from tf_micle.evaluation.predictions import Predictions

# Probabilities of float32 have no logits beyond these.
_EPSILON = 1e-7
_STEPS = 25
# Intercept and slope that a fit begins with, by whether it has a slope. From a
# slope of 1 Newton's method may go to and fro, where the truth's is near 0.
_START = {False: (0.0, 1.0), True: (0.0, 0.0)}
# Beyond these a fit has run away: the classes are apart.
_MOST = 30.0


def fit(predictions: Predictions) -> dict[str, list[float]] | None:
  """What makes logits of a model mean what they say.

  Args:
    predictions: of the validation split, as the model gives them.

  Returns:
    {"scale": C floats, "shift": C floats}: calibrated logits are logits * scale
    + shift. A finding without positives or negatives, or whose scores say
    nothing, keeps 1 and 0; so do classes that are wholly apart. None where
    nothing is labelled.
  """
  classes = len(predictions.class_names)
  if not predictions.stated.any():
    return None
  if predictions.task == "multi_class":
    known = predictions.labels >= 0
    scale = _inverse_temperature(
      predictions.probabilities[known], predictions.labels[known]
    )
    return {"scale": [scale] * classes, "shift": [0.0] * classes}
  found = [_platt(predictions, c) for c in range(classes)]
  return {
    "scale": [scale for _, scale in found],
    "shift": [shift for shift, _ in found],
  }


def _inverse_temperature(probabilities, labels):
  logits = np.log(np.maximum(probabilities, _EPSILON**2))  # But for a constant.

  def loss(log_scale):
    scaled = logits * np.exp(log_scale)
    top = scaled.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
    return (total - scaled[np.arange(len(labels)), labels]).mean()

  bound = np.log(_MOST)
  found = optimize.minimize_scalar(loss, bounds=(-bound, bound))
  # At a bound it has run away: all are right, or the scores say nothing.
  return float(np.exp(found.x)) if abs(found.x) < 0.99 * bound else 1.0


def _platt(predictions, c):
  """(shift, scale) of a finding."""
  truth, score, _ = metrics.binary(
    predictions.labels, predictions.probabilities, c
  )
  if not truth.any() or truth.all():
    return 0.0, 1.0
  # Platt's targets keep the fit finite where the classes are apart.
  targets = np.where(
    truth, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2)
  )
  shift, scale = _logistic(_logit(score), targets, np.ones((1, len(truth))))
  # A slope that turns scores round, or away, is no calibration.
  return (float(shift[0]), float(scale[0])) if scale[0] > 0 else (0.0, 1.0)


def apply(
  calibration: dict, probabilities: np.ndarray, task: str
) -> np.ndarray:
  """Calibrated probabilities, (n, C), of what `fit` gave and (n, C) others."""
  scale, shift = (np.array(calibration[k]) for k in ("scale", "shift"))
  if task == "multi_label":
    return 1 / (1 + np.exp(-(_logit(probabilities) * scale + shift)))
  logits = np.log(np.maximum(probabilities, _EPSILON**2)) * scale
  odds = np.exp(logits - logits.max(axis=1, keepdims=True))
  return odds / odds.sum(axis=1, keepdims=True)


def measured(items: Predictions, *, samples: int, seed: int) -> dict:
  """Calibration intercept and slope of each class, with 95% intervals.

  The slope b is that of a logistic regression a + b * logit(p) of the truth: 1
  is right, below 1 probabilities are too extreme. The intercept is a with b
  held at 1: 0 is right, below 0 probabilities are too high on average.

  Args:
    items: n items over C classes; each class against the rest.
    samples: resamples of patients.
    seed: of the bootstrap.

  Returns:
    By class {"intercept", "slope"}, each `intervals.entry`'s; None where there
    are no positives or negatives, or they are apart.
  """
  items = items.take(items.stated.any(axis=1))
  has, logits = items.positive, _logit(items.probabilities)
  classes = [
    (own, logits[own, c], has[own, c].astype(float))
    for c, own in enumerate(map(np.flatnonzero, items.stated.T))
  ]

  def fits(weights, slope, starts):
    """(intercepts, slopes), (B, C) each."""
    found = []
    for (own, x, target), start in zip(classes, starts):
      weight = np.take(weights, own, axis=1)
      found.append(_logistic(x, target, weight, slope=slope, start=start))
    return [np.stack(part, axis=-1) for part in zip(*found)]

  def both(weights, starts):
    return {
      "intercept": fits(weights, False, starts[0])[0],
      "slope": fits(weights, True, starts[1])[1],
    }

  once, plain = np.ones((1, len(items))), [None] * has.shape[1]
  # Resamples are near the whole: from its solution few steps are left.
  starts = [
    [
      (a, b) if np.isfinite(a + b) else None
      for a, b in zip(*(part[0] for part in fits(once, slope, plain)))
    ]
    for slope in (False, True)
  ]
  values = both(once, starts)
  replicates = bootstrap.replicates(
    lambda weights: both(weights, starts),
    items.patient_id,
    samples=samples,
    seed=seed,
  )
  found = {name: {} for name in items.class_names}
  for what, drawn in replicates.items():
    lows, highs = bootstrap.interval(drawn, intervals.LEVEL)
    for c, name in enumerate(items.class_names):
      found[name][what] = intervals.entry(
        values[what][0, c], lows[c], highs[c], 0
      )
  return found


def _logit(probabilities):
  p = np.clip(probabilities, _EPSILON, 1 - _EPSILON)
  return np.log(p) - np.log1p(-p)


def _logistic(x, target, weights, *, slope=True, start=None):
  """Logistic regressions by Newton's method, many at once.

  Args:
    x: (n,).
    target: (n,) in [0, 1].
    weights: (B, n), how often each item counts.
    slope: whether x has a coefficient; else it is an offset.
    start: intercept and slope to begin with; None: `_START`'s.

  Returns:
    Intercepts and slopes, (B,) each; NaN where there is none.
  """

  def total(values):
    return np.einsum("bn,bn->b", weights, values)

  # All begin alike, so that the first step asks for one set of p, (1, n).
  a, b = (np.full(1, value) for value in start or _START[slope])
  for _ in range(_STEPS):
    p = 1 / (1 + np.exp(-np.clip(a[:, None] + b[:, None] * x, -500, 500)))
    error, spread = target - p, p * (1 - p)
    if not slope:
      step = metrics.ratio(total(error), total(spread)), np.zeros(len(weights))
    else:
      gradient = total(error), total(error * x)
      h00, h01, h11 = total(spread), total(spread * x), total(spread * x**2)
      determinant = h00 * h11 - h01**2
      step = (
        metrics.ratio(h11 * gradient[0] - h01 * gradient[1], determinant),
        metrics.ratio(h00 * gradient[1] - h01 * gradient[0], determinant),
      )
    # Newton may overshoot far from the solution.
    size = np.maximum(1, np.hypot(*step) / 2)
    a, b = a + step[0] / size, b + step[1] / size
    # Newton's next step would be its square; those that run away count not.
    far = np.hypot(*step) > 1e-4
    apart = (np.abs(a) > _MOST) | (np.abs(b) > _MOST)
    if not (far & ~apart).any():
      break
  positives, every = weights @ target, weights.sum(axis=1)
  one_kind = (positives <= 0) | (positives >= every)
  wrong = apart | far | one_kind
  return np.where(wrong, np.nan, a), np.where(wrong, np.nan, b)
