"""Anchors, positives and negatives: the index and the sampling of batches."""
