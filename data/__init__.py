"""From a CSV manifest or TFDS to uint8 views."""
