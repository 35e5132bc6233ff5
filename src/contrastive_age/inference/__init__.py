"""From trained network to ages of photos: the final model's file, and all that reads it."""
