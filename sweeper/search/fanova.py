"""fANOVA (Hutter, Hoos and Leyton-Brown 2014): how much of the variance of the values each parameter explains alone.

The same forest and the same shares as of Optuna's `FanovaImportanceEvaluator`, to rounding. Optuna walks through each
tree once for every interval of a parameter; here the variance of a tree's marginal is one sum over pairs of its leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

__all__ = ["explain_variance"]

Floats: TypeAlias = npt.NDArray[np.float64]

_N_TREES = 64


def explain_variance(
    columns: Mapping[str, Sequence[float | str]], values: Sequence[float], *, max_depth: int, seed: int
) -> dict[str, float]:
    """Share of the variance of the values that each parameter explains by itself, 0 to 1; the mean over the trees.

    Args:
        columns: Of each parameter its value in every trial, at least two different ones: numbers, or texts.
        values: Value of each trial, finite.
        max_depth: Of the trees.
        seed: Of the forest.
    """
    # Imported here: it takes longer to import than a small report to write.
    from sklearn.ensemble import RandomForestRegressor

    if not columns:
        return {}
    names = sorted(columns)
    encoded = [_encode(columns[name]) for name in names]
    x = np.concatenate(encoded, axis=1)
    ends = np.cumsum([block.shape[1] for block in encoded]).tolist()
    groups = [range(end - block.shape[1], end) for end, block in zip(ends, encoded, strict=True)]
    bounds = np.stack([x.min(axis=0), x.max(axis=0)])
    forest: RandomForestRegressor = RandomForestRegressor(
        n_estimators=_N_TREES, max_depth=max_depth, random_state=seed
    ).fit(x, np.asarray(values, dtype=np.float64))
    shares = [s for tree in forest.estimators_ if (s := _shares_of_tree(tree.tree_, bounds, groups)) is not None]
    means = np.mean(shares, axis=0).tolist() if shares else [0.0] * len(names)
    return dict(zip(names, means, strict=True))


def _encode(column: Sequence[float | str]) -> Floats:
    """Numbers as one column, texts as a column of 0 and 1 for each: shape (trials, columns)."""
    if not any(isinstance(value, str) for value in column):
        return np.asarray(column, dtype=np.float64)[:, np.newaxis]
    texts = sorted({str(value) for value in column})
    return np.asarray([[float(value == text) for text in texts] for value in column])


def _shares_of_tree(tree: Any, bounds: Floats, groups: Sequence[Sequence[int]]) -> list[float] | None:
    """What each group of columns explains of a tree's variance; None for a tree that has none."""
    lows, highs, means = _leaves(tree, bounds)
    sizes = highs - lows
    volumes = sizes.prod(axis=1)
    means = means - np.average(means, weights=volumes)
    variance = float((volumes * means**2).sum())
    if variance <= 0.0:
        return None
    split = set(tree.feature[tree.feature >= 0].tolist())
    shares = []
    for group in groups:
        own = [column for column in group if column in split]
        if not own:
            shares.append(0.0)
            continue
        # The marginal is a sum of steps, one for each leaf: as wide as the leaf is in the group's columns, and as high
        # as its value times its size in all others. The mean of its square is a sum over pairs of steps that overlap.
        overlaps = np.ones((len(means), len(means)))
        for column in own:
            low, high = lows[:, column], highs[:, column]
            overlaps *= np.maximum(np.minimum.outer(high, high) - np.maximum.outer(low, low), 0.0)
        heights = means * np.delete(sizes, own, axis=1).prod(axis=1)
        # Not by BLAS, whose last digits depend on the number of threads.
        overlaps *= heights
        overlaps *= heights[:, np.newaxis]
        shares.append(max(float(overlaps.sum()), 0.0) / variance)
    return shares


def _leaves(tree: Any, bounds: Floats) -> tuple[Floats, Floats, Floats]:
    """Boxes of a tree's leaves, in which the whole space is 1 wide, and their values.

    Returns:
        Lower and upper ends, of shape (leaves, columns), and values, of shape (leaves,).
    """
    n_nodes, n_columns = tree.node_count, bounds.shape[1]
    lows, highs = np.zeros((n_nodes, n_columns)), np.ones((n_nodes, n_columns))
    features, left, right = tree.feature, tree.children_left, tree.children_right
    widths = bounds[1] - bounds[0]
    # Children come after their parents.
    for node in np.flatnonzero(features >= 0).tolist():
        column, first, second = features[node], left[node], right[node]
        threshold = (tree.threshold[node] - bounds[0, column]) / widths[column]
        lows[first], highs[first] = lows[node], highs[node]
        lows[second], highs[second] = lows[node], highs[node]
        highs[first, column] = lows[second, column] = threshold
    is_leaf = features < 0
    return lows[is_leaf], highs[is_leaf], tree.value[is_leaf, 0, 0]
