"""Age prediction from face images via contrastive learning (Chae et al.), as a Kedro project."""

__version__ = "0.1.0"
