"""Weights from faces: training on all of one source or several."""
