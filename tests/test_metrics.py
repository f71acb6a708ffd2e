"""Metrics against scikit-learn, naive loops and hand-worked cases."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tf_micle.evaluation import curves, metrics, resampled_metrics

NAN = np.nan


def random_labels(seed, count=80, classes=5):
  """Coarse scores, so that many are equal; one label in six is unknown."""
  random = np.random.default_rng(seed)
  labels = random.integers(-1, classes, count)
  scores = random.dirichlet(np.ones(classes), count)
  scores[np.arange(count), labels] += 0.2
  return labels, (scores / scores.sum(axis=1, keepdims=True)).round(1)


def random_findings(seed, count=80, classes=3):
  random = np.random.default_rng(seed)
  labels = random.choice([1, 0, 0, -1, NAN], (count, classes))
  scores = (random.random((count, classes)) + (labels == 1) * 0.3).clip(0, 1)
  return labels, scores.round(1)


def sensitivity_by_a_loop(truth, score, specificity):
  best = 0.0
  for threshold in score:
    decided = score >= threshold
    if (~decided[~truth]).mean() >= specificity - 1e-9:
      best = max(best, decided[truth].mean())
  return best


def calibration_error_by_a_loop(confidence, right):
  error = 0.0
  for m in range(1, 16):
    inside = [i for i, c in enumerate(confidence) if (m - 1) / 15 < c <= m / 15]
    if inside:
      gap = right[inside].mean() - confidence[inside].mean()
      error += len(inside) / len(confidence) * abs(gap)
  return error


@pytest.mark.parametrize("specificity", [0, 0.5, 0.9, 1])
def test_labels_against_scikit_learn(specificity):
  labels, scores = random_labels(1)
  found = metrics.measure(labels, scores, specificity=specificity)
  known = labels >= 0
  labels, scores = labels[known], scores[known]
  decided = scores.argmax(axis=1)
  assert found["top1"] == sklearn_metrics.accuracy_score(labels, decided)
  assert found["balanced_accuracy"] == pytest.approx(
    sklearn_metrics.balanced_accuracy_score(labels, decided)
  )
  onehot = np.eye(5)[labels]
  for name, per_class in {
    "auroc": sklearn_metrics.roc_auc_score(onehot, scores, average=None),
    "auprc": sklearn_metrics.average_precision_score(
      onehot, scores, average=None
    ),
    "sensitivity": [
      sensitivity_by_a_loop(labels == c, scores[:, c], specificity)
      for c in range(5)
    ],
  }.items():
    np.testing.assert_allclose(found[name], per_class, err_msg=name)
    assert found[f"mean_{name}"] == pytest.approx(np.mean(per_class))
  assert found["brier"] == pytest.approx(
    np.mean(((scores - onehot) ** 2).sum(axis=1))
  )
  assert found["ece"] == pytest.approx(
    calibration_error_by_a_loop(scores.max(axis=1), decided == labels)
  )


def test_top3_against_scikit_learn():
  labels, scores = random_labels(2)
  scores = scores + np.random.default_rng(0).random(scores.shape) / 1e6
  known = labels >= 0
  assert metrics.measure(labels, scores)["top3"] == pytest.approx(
    sklearn_metrics.top_k_accuracy_score(
      labels[known], scores[known], k=3, labels=range(5)
    )
  )


def test_equal_probabilities_are_right_for_the_first_classes_only():
  found = metrics.measure(np.arange(4), np.full((4, 4), 0.25))
  assert (found["top1"], found["top3"]) == (0.25, 0.75)
  np.testing.assert_array_equal(found["auroc"], [0.5] * 4)
  assert "top3" not in metrics.measure(np.arange(3), np.eye(3))


def test_findings_count_stated_labels_only():
  labels, scores = random_findings(3)
  found = metrics.measure(labels, scores, specificity=0.8)
  expected = {name: [] for name in ("auroc", "auprc", "sensitivity")}
  others = {name: [] for name in ("balanced_accuracy", "brier", "ece")}
  for c in range(3):
    stated = [i for i, one in enumerate(labels[:, c]) if one in (0, 1)]
    truth, score = labels[stated, c] == 1, scores[stated, c]
    assert 0 < len(stated) < len(labels)
    expected["auroc"].append(sklearn_metrics.roc_auc_score(truth, score))
    expected["auprc"].append(
      sklearn_metrics.average_precision_score(truth, score)
    )
    expected["sensitivity"].append(sensitivity_by_a_loop(truth, score, 0.8))
    others["balanced_accuracy"].append(
      sklearn_metrics.balanced_accuracy_score(truth, score >= 0.5)
    )
    others["brier"].append(sklearn_metrics.brier_score_loss(truth, score))
    others["ece"].append(calibration_error_by_a_loop(score, truth))
  for name, values in expected.items():
    np.testing.assert_allclose(found[name], values, err_msg=name)
  for name, values in others.items():
    assert found[name] == pytest.approx(np.mean(values)), name
  assert not {"top1", "top3"} & set(found)


def test_uncertain_and_missing_findings_by_hand():
  labels = np.array([[1, 1], [0, NAN], [-1, -1], [NAN, 1], [0, NAN]])
  scores = np.array([[0.6, 0.9], [0.7, 0.9], [0, 0], [1, 0.7], [0.2, 0]])
  found = metrics.measure(labels, scores)
  # First finding: 1 at 0.6 against 0 at 0.7 and 0.2. Second: no negatives.
  np.testing.assert_array_equal(found["auroc"], [0.5, NAN])
  np.testing.assert_array_equal(found["auprc"], [0.5, NAN])
  assert found["mean_auroc"] == 0.5
  # Sensitivity 1, specificity 1/2; the second finding has no specificity.
  assert found["balanced_accuracy"] == 0.75
  assert found["brier"] == pytest.approx(
    ((0.16 + 0.49 + 0.04) / 3 + (0.01 + 0.09) / 2) / 2
  )


def test_calibration_by_hand():
  # Two at 0.8, one right; one at 0.6, right: 2/3 * 0.3 + 1/3 * 0.4
  scores = np.array([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6]])
  labels = np.array([0, 1, 1])
  assert metrics.measure(labels, scores)["ece"] == pytest.approx(1 / 3)
  confidence, accuracy, count = curves.reliability(labels, scores)
  assert count.shape == (1, 15)
  assert count[0, 11] == 2
  assert count[0, 8] == 1
  np.testing.assert_allclose(confidence[0, [8, 11]], [0.6, 0.8])
  np.testing.assert_allclose(accuracy[0, [8, 11]], [1, 0.5])
  assert np.isnan(accuracy[0, 0])


def test_sensitivity_by_hand():
  # Ten negatives 0.05 to 0.95: specificity 0.9 allows one above, so the
  # threshold may go down to just above 0.85, and not below it.
  truth = np.array([1] * 4 + [0] * 10)
  score = np.append([0.99, 0.9, 0.86, 0.84], np.arange(10) / 10 + 0.05)
  scores = np.stack([1 - score, score], axis=1)
  found = metrics.measure(truth, scores, specificity=0.9)
  assert found["sensitivity"][1] == 0.75


def test_sensitivity_on_a_straight_piece_of_the_curve():
  # Ten thresholds, each with one positive and one negative more.
  score = np.repeat(np.arange(10) / 10, 2)
  scores = np.stack([1 - score, score], axis=1)
  found = metrics.measure(np.arange(20) % 2, scores, specificity=0.6)
  np.testing.assert_allclose(found["sensitivity"], 0.4)


def test_classes_without_positives_or_negatives_are_not_zero():
  scores = np.random.default_rng(0).dirichlet(np.ones(3), 6)
  found = metrics.measure(np.array([0, 1, 0, 1, -1, 0]), scores)
  for name in metrics.PER_CLASS:
    assert np.isnan(found[name]).tolist() == [False, False, True]
    assert found[f"mean_{name}"] == found[name][:2].mean()
  for labels in (np.full(6, -1), np.full((6, 3), NAN)):
    found = metrics.measure(labels, scores)
    assert all(np.isnan(value).all() for value in found.values())
  only = metrics.measure(np.full(6, 1), scores)
  assert np.isnan(only["mean_auroc"])
  assert only["balanced_accuracy"] == only["top1"]


@pytest.mark.parametrize("make", [random_labels, random_findings])
def test_weights_are_repeated_items(make):
  labels, scores = make(4)
  weights = np.random.default_rng(5).poisson(1, (6, len(labels)))
  weights[0] = 0
  # A resample without a class.
  weights[1] *= labels != 1 if labels.ndim == 1 else labels[:, 0] != 1
  many = resampled_metrics.of_weights(labels, scores)(weights.astype(float))
  for b, weight in enumerate(weights):
    copied = np.repeat(np.arange(len(labels)), weight)
    expected = metrics.measure(labels[copied], scores[copied])
    assert set(expected) == set(many)
    for name, value in expected.items():
      np.testing.assert_allclose(many[name][b], value, atol=1e-12, err_msg=name)
  assert np.isnan(many["auroc"]).any()
  assert np.isfinite(many["auroc"]).any()


@pytest.mark.parametrize("digits", [1, 9])
def test_ranking_of_resamples_is_scikit_learns(digits):
  """With many ties, and with none."""
  random = np.random.default_rng(7)
  truth = random.integers(2, size=300)
  score = random.beta(1 + truth, 2).round(digits)
  weights = random.poisson(1, (4, 300)).astype(float)
  found = resampled_metrics.of_weights(
    truth, np.stack([1 - score, score], axis=1)
  )
  for b, weight in enumerate(weights):
    told = {"y_score": score, "sample_weight": weight}
    fpr, tpr, _ = sklearn_metrics.roc_curve(
      truth, **told, drop_intermediate=False
    )
    for name, value in {
      "auroc": sklearn_metrics.roc_auc_score(truth, **told),
      "auprc": sklearn_metrics.average_precision_score(truth, **told),
      "sensitivity": tpr[1 - fpr >= 0.9 - 1e-9].max(),
    }.items():
      assert found(weights)[name][b, 1] == pytest.approx(value, abs=1e-12)


def test_curves_and_tables_are_scikit_learns():
  labels, scores = random_labels(6)
  labels[labels == 2] = -1
  roc = curves.roc_points(labels, scores)
  recall_precision = curves.precision_recall_points(labels, scores)
  assert roc[2] is None
  assert recall_precision[2] is None
  found = metrics.measure(labels, scores)
  assert sklearn_metrics.auc(*roc[0]) == pytest.approx(found["auroc"][0])
  recall, precision = recall_precision[0]
  assert -np.diff(recall) @ precision[:-1] == pytest.approx(found["auprc"][0])
  table = curves.confusion(labels, scores)
  assert table.shape == (5, 5)
  assert table.sum() == (labels >= 0).sum()
  assert np.trace(table) / table.sum() == found["top1"]
  assert table[2].sum() == 0


def test_tables_of_findings():
  labels = np.array([[1, NAN], [0, NAN], [-1, NAN], [0, -1]])
  scores = np.array([[0.5, 0], [0.5, 0], [1, 0], [0.4, 0]])
  tables = curves.confusion(labels, scores)
  assert tables.tolist() == [[[1, 1], [0, 1]], [[0, 0], [0, 0]]]
  assert curves.reliability(labels, scores)[2].sum(axis=1).tolist() == [3, 0]
  assert curves.confusion(np.full(4, -1), scores).sum() == 0
