"""Prediction: pieces, rows, and the files that are written."""
