"""Stage 1: raw folders to the table of samples and the audit."""
