"""Sweep files of Weights & Biases: read, and turned into study files.

What stands in such a file is defined by W&B's schema (https://github.com/wandb/sweeps, `src/sweeps/config/schema.json`,
draft 7) and told in its documentation (https://docs.wandb.ai/models/sweeps/sweep-config-keys). How values are drawn is
defined by `src/sweeps/params.py` there, which values a grid has by `grid_search.py`, when runs are ended early by
`hyperband_stopping.py`, and what a run is judged by (the best value it logged) by `bayes_search.py`.

Nothing is guessed: what has no counterpart in a study is told, with its line.
"""
