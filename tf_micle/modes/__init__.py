"""Modes of `run.py`, a file each."""
