"""Stage 3: folds and what leaks between them."""
