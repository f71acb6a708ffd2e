"""The ResNet encoder and the heads that stand on it."""
