"""Stage 2: landmarks and aligned faces."""
