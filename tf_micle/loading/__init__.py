"""Runs opened to be used."""
