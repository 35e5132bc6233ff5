"""The parameters: what was given, the setting that it makes, and the loader of both."""
