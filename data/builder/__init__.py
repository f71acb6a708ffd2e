"""From a CSV manifest and a folder of images to bag TFRecords."""
