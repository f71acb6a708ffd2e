"""Formats in which others publish the weights of ResNets."""
