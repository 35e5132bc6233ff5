"""Stage 6: predictions of one fold, and of all folds together."""
