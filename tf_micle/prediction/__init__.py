"""The files that prediction writes."""
