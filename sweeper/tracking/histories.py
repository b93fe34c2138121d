"""Rows of metrics gathered as columns: ten thousand runs have millions, and a Python object for each would not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["PACKED", "HistoryBuilder", "history_frame", "rows_at"]


PACKED = np.dtype([("epoch", ">i8"), ("timestamp_ms", ">i8"), ("value", ">f8"), ("is_nan", "?")])
"""A row as `HistoryBuilder.add_packed` takes it, without gaps."""


class HistoryBuilder:
    """Takes rows piece by piece; keeps 32 bytes of each: codes of run and metric, epoch, timestamp, value.

    Args:
        run_ids: The runs whose rows will come.
    """

    def __init__(self, run_ids: Sequence[str]) -> None:
        self._run_ids = sorted(set(run_ids))
        self._run_codes = {run_id: code for code, run_id in enumerate(self._run_ids)}
        self._metric_codes: dict[str, int] = {}
        self._pieces: list[tuple[np.ndarray, ...]] = []

    def add(
        self,
        run_ids: Sequence[str],
        metrics: Sequence[str],
        epochs: Sequence[int],
        timestamps_ms: Sequence[int],
        values: Sequence[float],
        is_nan: Sequence[bool] | None = None,
    ) -> None:
        """Add rows, given as columns of one length; where `is_nan`, the value counts for nothing."""
        values_N = np.array(values, dtype=np.float64)
        if is_nan is not None:
            values_N[np.array(is_nan, dtype=bool)] = np.nan
        epochs_N, timestamps_N = np.array(epochs, dtype=np.int64), np.array(timestamps_ms, dtype=np.int64)
        self._pieces.append((*self._codes(run_ids, metrics), epochs_N, timestamps_N, values_N))

    def add_packed(self, run_ids: Sequence[str], metrics: Sequence[str], packed: Sequence[bytes]) -> None:
        """Add many rows of each pair of a run and a metric: their bytes, one row after another, each as `PACKED`."""
        rows_N = np.frombuffer(b"".join(packed), dtype=PACKED)
        counts = [len(rows) // PACKED.itemsize for rows in packed]
        runs_N, metrics_N = (np.repeat(codes, counts) for codes in self._codes(run_ids, metrics))
        values_N = np.where(rows_N["is_nan"], np.nan, rows_N["value"])
        epochs_N, timestamps_N = (rows_N[column].astype(np.int64) for column in ("epoch", "timestamp_ms"))
        self._pieces.append((runs_N, metrics_N, epochs_N, timestamps_N, values_N))

    def _codes(self, run_ids: Sequence[str], metrics: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        for metric in set(metrics):
            self._metric_codes.setdefault(metric, len(self._metric_codes))
        runs_N, metrics_N = (
            np.fromiter(map(codes.__getitem__, names), dtype=np.int32, count=len(names))
            for codes, names in ((self._run_codes, run_ids), (self._metric_codes, metrics))
        )
        return runs_N, metrics_N

    def frame(self, name_of: Callable[[str], str]) -> pd.DataFrame:
        """All rows, in whatever order they came: columns run_id, metric, epoch, value, sorted by the first three.

        Where an epoch has several, they are in the order in which they were recorded.

        Args:
            name_of: What a metric is called in the frame, by what it was called in `add`.
        """
        if not self._pieces:
            return history_frame({})
        runs_N, metrics_N, epochs_N, timestamps_N, values_N = (
            np.concatenate(column) for column in zip(*self._pieces, strict=True)
        )
        self._pieces.clear()
        called = [name_of(metric) for metric in self._metric_codes]
        order = sorted(range(len(called)), key=called.__getitem__)
        ranks = np.empty(len(called), dtype=np.int32)
        ranks[order] = np.arange(len(called), dtype=np.int32)
        metrics_N = ranks[metrics_N]
        sorted_N = np.lexsort((values_N, timestamps_N, epochs_N, metrics_N, runs_N))
        # Each name is one object, which the rows share.
        run_names = np.array(self._run_ids, dtype=object)
        metric_names = np.array([called[place] for place in order], dtype=object)
        return pd.DataFrame(
            {
                "run_id": pd.Series(run_names[runs_N[sorted_N]], dtype="object"),
                "metric": pd.Series(metric_names[metrics_N[sorted_N]], dtype="object"),
                "epoch": epochs_N[sorted_N],
                "value": values_N[sorted_N],
            }
        )


def history_frame(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Columns run_id, metric, epoch, value as a sorted data frame."""
    frame = pd.DataFrame(
        {
            "run_id": pd.Series(columns.get("run_id", []), dtype="object"),
            "metric": pd.Series(columns.get("metric", []), dtype="object"),
            "epoch": pd.Series(columns.get("epoch", []), dtype="int64"),
            "value": pd.Series(columns.get("value", []), dtype="float64"),
        }
    )
    return frame.sort_values(["run_id", "metric", "epoch"], kind="stable", ignore_index=True)


def rows_at(rows: pd.DataFrame, epochs: Mapping[str, int]) -> pd.DataFrame:
    """Of each run the rows of one epoch, out of rows in the form of `RunReader.read_histories`."""
    return rows[rows["epoch"] == rows["run_id"].map(epochs)].reset_index(drop=True)
