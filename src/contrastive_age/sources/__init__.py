"""Raw layouts: one module each, from a folder to the table of samples; and the audit."""
