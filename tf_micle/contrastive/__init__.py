"""Contrastive pretraining: model, NT-Xent, micro-batches."""
