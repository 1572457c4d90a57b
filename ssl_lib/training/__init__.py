"""Optimiser, weighting, checkpoints and the training loop."""
