"""The training loop, augmentation and resumable checkpoints."""
