"""The paper's tables and figures, from everything that has been run."""
