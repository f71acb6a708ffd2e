"""A run's folder: checkpoints, provenance, patients, log, selection."""
