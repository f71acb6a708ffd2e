"""The CSV manifest: table, labels, splits, pseudonyms."""
