"""The final model: a network from all of a source, with its error and its card, as one file."""
