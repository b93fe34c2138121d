"""Training with NumPy alone: forward pass, backward pass, loss and optimizer's step, each written out."""

from sweeper.training.numpy_network.learner import NumpyLearner

__all__ = ["NumpyLearner"]
