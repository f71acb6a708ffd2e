"""The builder: from a CSV manifest and images to bag TFRecords."""
