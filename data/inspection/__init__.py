"""Inspection of a data set before training: measures, worries, page."""
