"""Drawn faces, which nobody owns."""
