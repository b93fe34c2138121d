"""`sweeper doctor`: holds a workspace's files, Optuna's database and MLflow against each other, and mends."""
