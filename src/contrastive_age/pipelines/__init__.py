"""The Kedro pipelines: one folder a stage, thin nodes over the ground floor."""
