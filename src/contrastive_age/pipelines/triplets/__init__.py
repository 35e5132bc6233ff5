"""Stage 4: the triplet index of a fold's training part."""
