"""Where trials are recorded: files of a workspace, the tracker, and reading back. The only door to MLflow."""
