"""The model side: from uint8 views to a trained encoder."""
