"""Views on the host: decode, crop, resize, flip, rotate."""
