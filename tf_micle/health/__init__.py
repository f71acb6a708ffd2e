"""Health of a pretraining run: what its embeddings say without labels."""
