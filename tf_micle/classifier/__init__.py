"""The fine-tuned classifier: model, losses, bag pooling, freezing."""
