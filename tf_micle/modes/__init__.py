"""What `run.py --mode=...` does, a file a mode."""
