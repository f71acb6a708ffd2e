"""Splits as streams of bags: bag TFRecords or TFDS."""
