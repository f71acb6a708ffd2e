"""Batches of views for training, evaluation and prediction."""
