"""The format of bag TFRecords."""
