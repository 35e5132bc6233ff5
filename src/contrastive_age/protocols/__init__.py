"""Which sample is tested in which fold, and what a model could know of it already."""
