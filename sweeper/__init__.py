"""sweeper: hyperparameter sweeps of image classifiers, every trial accounted for."""

__version__ = "0.1.0"
