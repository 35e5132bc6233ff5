"""Stage 7: metrics, tables and figures of one setting."""
