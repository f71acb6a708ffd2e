"""The data of a run: from a CSV manifest or TFDS to uint8 views."""
