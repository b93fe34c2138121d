"""What to try next: the only door to Optuna."""
