"""Stage 5: training one fold."""
